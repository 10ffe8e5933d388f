// Sessions of frameworks: subscriptions, heart-beats, disconnection, changes of the description,
// and the end, by teardown or because a framework does not come back.
//
// A subscription begins when the framework's entry is durable. The newest one wins; what an older
// one still asks for is refused.
#pragma once

#include <set>
#include <string>

#include "services/master/core/books.h"

namespace tessera::master {

class SessionFlow {
 public:
  explicit SessionFlow(Books* books) : books_(*books) {}

  void OnSubscribeOpened(const SubscribeOpened& event);
  void OnSaved(const FrameworkSaved& saved);
  void OnStreamClosed(StreamId stream);
  void OnHeartbeat(const Timer& timer);
  void OnFailoverTimeout(const Timer& timer);

  // The framework that a call may act for, counted; otherwise the call is refused and null
  // returned.
  Framework* Enter(CallId call, const sched::Session& session, CallType type);

  void OnCall(CallId call, const sched::UpdateFrameworkRequest& request);
  void OnInfoChanged(const FrameworkInfoChanged& changed);
  void OnCall(CallId call, const sched::TeardownRequest& request);

  // Begins the end of a framework; OnCompleted finishes it. Repeats do nothing.
  void BeginRemoval(Framework& framework);
  void OnCompleted(const FrameworkCompleted& completed);

  // Closes every stream: this master leads no more.
  void CloseAll(const absl::Status& status);

  // A framework that agents bring, in a new row or in one whose first subscription waits for the
  // registry: from here on it is like one that the registry knew, and its time to subscribe runs.
  void AwaitReturn(Framework& framework);

  // Arms the time-out after which a framework that has no stream is removed.
  void ArmFailover(Framework& framework, absl::Time at);

 private:
  void Refuse(StreamId stream, const absl::Status& status);
  void Begin(Framework& framework);
  // The framework takes no part in offers any more.
  void Deactivate(Framework& framework);
  void AfterDisconnect(Framework& framework);
  void SetRoles(Framework& framework, const pb::FrameworkInfo& info);
  void ApplySubscription(Framework& framework, const pb::FrameworkInfo& info,
                         const google::protobuf::RepeatedPtrField<std::string>& suppressed,
                         const pb::OfferConstraints& constraints);
  void BroadcastInfo(const Framework& framework);
  // Where it has tasks or executors.
  std::set<AgentIndex> AgentsOf(const Framework& framework);
  reg::Write Entry(const Framework& framework, const pb::FrameworkInfo& info,
                   const google::protobuf::RepeatedPtrField<std::string>& suppressed) const;

  Books& books_;
};

}  // namespace tessera::master
