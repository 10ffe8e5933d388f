// allocator-svc: keeps nothing over a crash.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "services/allocator/wire/stream_core.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class AllocatorProcess : public Process {
 public:
  AllocatorProcess(World* world, allocator::StreamCoreConfig config);

  // A master's stream: its number, and where its answers and its end go.
  uint64_t Open(std::function<void(allocator::v1::AllocateResponse)> send,
                std::function<void(absl::Status)> end);
  void Receive(uint64_t stream, std::shared_ptr<const allocator::v1::AllocateRequest> request);
  void Ended(uint64_t stream);

  const allocator::StreamCore* core() const { return core_.get(); }

 private:
  struct Stream {
    std::function<void(allocator::v1::AllocateResponse)> send;
    std::function<void(absl::Status)> end;
  };

  void OnStart() override;
  void OnEnd() override;
  void CarryOut(std::vector<allocator::StreamEffect> effects);
  void Do(allocator::SendResponse& send);
  void Do(allocator::EndStream& end);
  void Do(allocator::RunDone& run);
  void Check();

  struct Tap {
    static void Fold(Digest* digest, const allocator::SendResponse& effect);
    static void Fold(Digest* digest, const allocator::EndStream& effect);
    static void Fold(Digest* digest, const allocator::RunDone& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
  };

  World* world_;
  const allocator::StreamCoreConfig config_;
  std::unique_ptr<allocator::StreamCore> core_;
  std::unique_ptr<
      CoreRunner<allocator::StreamCore, allocator::StreamEvent, allocator::StreamEffect, Tap>>
      runner_;
  uint64_t next_stream_ = 1;
  uint64_t steps_ = 0;
  std::map<uint64_t, Stream> streams_;
};

}  // namespace tessera::sim
