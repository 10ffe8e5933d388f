// registry-svc: its core over a store in memory from which a crash takes what was not synced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "protos/tessera/registry/v1/registry_service.pb.h"
#include "services/registry/core/registry_core.h"
#include "services/registry/store/memory_store.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class RegistryProcess : public Process {
 public:
  RegistryProcess(World* world, registry::RegistryConfig config, DiskShape disk_shape);

  // The calls of a master, over a wire whose far end this process is. Answers come by `answer`, an
  // error when the call was refused; a call without an answer before the wire ends has an unknown
  // outcome.
  template <typename Response>
  using Answer = std::function<void(absl::StatusOr<Response>)>;
  void Commit(const registry::v1::CommitRequest& request,
              Answer<registry::v1::CommitResponse> answer);
  void Read(const registry::v1::ReadRequest& request, Answer<registry::v1::ReadResponse> answer);
  void Renew(const registry::v1::RenewRequest& request, Answer<registry::v1::RenewResponse> answer);
  void Resign(const registry::v1::ResignRequest& request,
              Answer<registry::v1::ResignResponse> answer);
  // Returns the stream's number for EndCampaign; 0 when it was refused.
  uint64_t Campaign(const registry::v1::CampaignRequest& request,
                    std::function<void(registry::v1::CampaignResponse)> send,
                    std::function<void(absl::Status)> end);
  void EndCampaign(uint64_t stream);

 private:
  struct CampaignStream {
    std::function<void(registry::v1::CampaignResponse)> send;
    std::function<void(absl::Status)> end;
  };

  void OnStart() override;
  // Refuses what is new, ends campaigns, and answers what waits, for a while.
  void OnStop() override;
  void OnEnd() override;
  void FinishIfIdle();
  // A call has come; false when it was refused.
  template <typename Response>
  bool Admit(const Answer<Response>& answer);
  void CarryOut(std::vector<registry::Effect> effects);
  void Do(registry::AcquireStore& acquire);
  void Do(registry::Persist& persist);
  void Do(registry::Settle& settle);
  void Do(registry::Note& note);
  void Do(registry::CommitAnswer& answer);
  void Do(registry::ReadAnswer& answer);
  void Do(registry::RenewAnswer& answer);
  void Do(registry::ResignAnswer& answer);
  void Do(registry::WatchSend& send);
  void Do(registry::CampaignSend& send);
  void Do(registry::EndStream& end);
  void Do(registry::Halt& halt);

  struct Tap {
    static void Fold(Digest* digest, const registry::Persist& effect);
    static void Fold(Digest* digest, const registry::CommitAnswer& effect);
    static void Fold(Digest* digest, const registry::ReadAnswer& effect);
    static void Fold(Digest* digest, const registry::RenewAnswer& effect);
    static void Fold(Digest* digest, const registry::ResignAnswer& effect);
    static void Fold(Digest* digest, const registry::WatchSend& effect);
    static void Fold(Digest* digest, const registry::CampaignSend& effect);
    static void Fold(Digest* digest, const registry::EndStream& effect);
    static void Fold(Digest* digest, const registry::AcquireStore& effect);
    static void Fold(Digest* digest, const registry::Settle& effect);
    static void Fold(Digest* digest, const registry::Note& effect);
    static void Fold(Digest* digest, const registry::Halt& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
    static Bite MomentOf(const registry::Persist&) { return Bite::kRegistryPersists; }
    static Bite MomentOf(const registry::CommitAnswer&) { return Bite::kRegistryAnswersCommit; }
  };

  World* world_;
  const registry::RegistryConfig config_;
  const DiskShape disk_shape_;
  base::Rng rng_;
  std::shared_ptr<registry::MemoryDisk> disk_;
  std::unique_ptr<registry::MemoryStore> store_;
  // A batch has been begun and is not synced.
  bool writing_ = false;
  std::unique_ptr<registry::RegistryCore> core_;
  std::unique_ptr<CoreRunner<registry::RegistryCore, registry::Event, registry::Effect, Tap>>
      runner_;
  uint64_t next_id_ = 1;
  struct PendingCommit {
    Answer<registry::v1::CommitResponse> answer;
    std::vector<DurabilityChecker::Change> changes;
  };
  std::map<uint64_t, PendingCommit> commits_;
  std::map<uint64_t, Answer<registry::v1::ReadResponse>> reads_;
  std::map<uint64_t, Answer<registry::v1::RenewResponse>> renewals_;
  std::map<uint64_t, Answer<registry::v1::ResignResponse>> resignations_;
  std::map<uint64_t, CampaignStream> campaigns_;
};

}  // namespace tessera::sim
