// SchedulerDriver: a framework's connection to the cluster, in a few calls.
//
//   class MyFramework : public tessera::sdk::Scheduler { … };
//   SchedulerDriver driver(options, &framework);
//   driver.Start();
//   … driver.Accept(…) from the callbacks or from anywhere …
//   driver.Stop();
//
// The driver subscribes, follows the leading master, reconnects, acknowledges updates once their
// callback has returned, keeps kills going until they worked, and reconciles tasks after a loss of
// the session. Scheduling is the framework's: what to do with offers, and when to start a task
// again.
//
// Threads: callbacks come one at a time on one thread of the driver and may call the driver; its
// calls may be made from any thread. Calls return at once; a call that is refused comes back as
// CallFailed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "protos/tessera/model/v1/offer.pb.h"
#include "sdk/cpp/core/scheduler_core.h"

namespace tessera::sdk {

// What a framework does when something happens.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // The session is open. Keep the id durably: it is needed to come back under the same name.
  virtual void Subscribed(const scheduler::v1::Event::Subscribed& subscribed) = 0;

  // Offers to use or to decline. They end with the session.
  virtual void Offers(std::vector<model::v1::Offer> offers) = 0;

  // These offers can no longer be used.
  virtual void Rescinded(const std::vector<std::string>& offer_ids) = 0;

  // A task's new status; acknowledged when this returns. An update is delivered once, except after
  // a restart of the framework.
  virtual void Update(const model::v1::TaskStatus& status) = 0;

  // The session is down; the driver opens it anew. Outstanding offers are void.
  virtual void Disconnected(const absl::Status& status) = 0;

  // A call was refused; or, when its code is UNAVAILABLE or DEADLINE_EXCEEDED, it may have worked:
  // updates will tell what became of its tasks.
  virtual void CallFailed(const Request& request, const absl::Status& status) = 0;

  // The session has ended for good. OK after Stop; otherwise the reason why a repeat is useless.
  virtual void Ended(const absl::Status& status) = 0;

  // Bytes from an executor.
  virtual void Message(const scheduler::v1::Event::Message& message);

  // An executor or an agent was lost: a hint only.
  virtual void Failure(const scheduler::v1::Event::Failure& failure);

  // The cluster asks for agents back for maintenance; SchedulerDriver::AnswerInverseOffers answers.
  virtual void InverseOffers(std::vector<model::v1::InverseOffer> inverse_offers);

  // These inverse offers need no answer any more.
  virtual void InverseOffersRescinded(const std::vector<std::string>& inverse_offer_ids);

  // The outcome of an operation with an id.
  virtual void OperationUpdate(const model::v1::OperationStatus& status);
};

struct DriverOptions {
  SchedulerConfig session;
  // Each unary call is given up after this long.
  absl::Duration call_timeout = absl::Seconds(20);
};

class SchedulerDriver {
 public:
  // `scheduler` must outlive the driver. Dies on an invalid config: check it with ValidateConfig.
  SchedulerDriver(DriverOptions options, Scheduler* scheduler);
  ~SchedulerDriver();
  SchedulerDriver(const SchedulerDriver&) = delete;
  SchedulerDriver& operator=(const SchedulerDriver&) = delete;

  // Opens the session. Once.
  void Start();

  // Ends the session and waits until Ended has been called. With `teardown` the framework and all
  // its tasks end. Must not be called from a callback: use RequestStop there.
  void Stop(bool teardown = false);
  // The same without waiting.
  void RequestStop(bool teardown = false);

  // Waits until Ended has been called, or the time has passed; true when it was.
  bool WaitForEnd(absl::Duration timeout);

  // Launches tasks and applies operations on offers of one agent and role; what is left is given
  // back, and not offered again for `refuse` (5 s by default).
  void Accept(const std::vector<std::string>& offer_ids,
              std::vector<model::v1::Operation> operations,
              std::optional<absl::Duration> refuse = std::nullopt);
  void Decline(const std::vector<std::string>& offer_ids,
               std::optional<absl::Duration> refuse = std::nullopt);
  // An empty list means all subscribed roles.
  void Revive(const std::vector<std::string>& roles = {});
  void Suppress(const std::vector<std::string>& roles = {});
  // Tells whether the framework will leave the agents in time. The same is asked again after
  // `refuse` (5 s by default).
  void AnswerInverseOffers(const std::vector<std::string>& inverse_offer_ids, bool accept,
                           std::optional<absl::Duration> refuse = std::nullopt);
  // `grace`: time between the polite and the forced kill; the task's own policy by default.
  void Kill(const std::string& task_id, std::optional<absl::Duration> grace = std::nullopt);

  // Any other call. Its session is filled in.
  void Call(Request request);

  // Reconciles tasks of an earlier life of the framework as if they had been launched here.
  void Adopt(std::vector<AdoptTasks::Task> tasks);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::sdk
