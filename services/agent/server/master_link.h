// Streams to masters: AgentLinkService.Connect from the agent's side.
//
// Messages of one batch of effects travel as one ConnectRequest (Queue, then Flush).
//
// Threads: Queue, Flush and all of MasterLinks from the strand, but CancelAll, which the owner
// calls when the strand has stopped; Cancel from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"

namespace tessera::agent {

class MasterLink {
 public:
  virtual ~MasterLink() = default;

  // Dials `address`. `on_batch` refuses with a status, which ends the link; `on_closed` comes once,
  // last. Both come on threads of gRPC.
  static std::shared_ptr<MasterLink> Open(
      const std::string& address,
      std::function<absl::Status(agentlink::v1::ConnectResponse)> on_batch,
      std::function<void(const absl::Status&)> on_closed);

  virtual void Queue(agentlink::v1::AgentMessage message) = 0;
  virtual void Flush() = 0;
  virtual void Cancel(absl::Status reason) = 0;
};

// The newest link, which is the one in use, and those before it whose ends have not come yet.
class MasterLinks {
 public:
  // As MasterLink::Open. `number` is new; what waits on the link before is sent.
  void Open(uint64_t number, const std::string& address,
            std::function<absl::Status(agentlink::v1::ConnectResponse)> on_batch,
            std::function<void(const absl::Status&)> on_closed);

  // Of no effect on a link that is not the newest.
  void Queue(uint64_t number, agentlink::v1::AgentMessage message);
  // Sends what waits, and ends the link. False: it is not the newest.
  bool Close(uint64_t number, const absl::Status& reason);

  // Sends what waits.
  void Flush();

  // Ends every link and returns when no callback of theirs can come any more.
  void CancelAll(const absl::Status& reason);

 private:
  MasterLink* Newest(uint64_t number) { return number == number_ ? newest_.get() : nullptr; }

  std::shared_ptr<MasterLink> newest_;
  uint64_t number_ = 0;
  absl::Mutex mu_;
  int open_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::weak_ptr<MasterLink>> all_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::agent
