#include "tests/sim/allocator_process.h"

#include <utility>

#include "tests/sim/fold.h"

namespace tessera::sim {

namespace {

// The invariants are worked out anew after this many steps: often enough to be near the fault.
constexpr uint64_t kCheckEvery = 64;

}  // namespace

void AllocatorProcess::Tap::Fold(Digest* digest, const allocator::SendResponse& effect) {
  FoldAll(digest, effect.stream, effect.response);
}
void AllocatorProcess::Tap::Fold(Digest* digest, const allocator::EndStream& effect) {
  FoldAll(digest, effect.stream, effect.status);
}
void AllocatorProcess::Tap::Fold(Digest* digest, const allocator::RunDone& effect) {
  FoldAll(digest, effect.full, effect.agents_considered, effect.pairs_considered,
          effect.allocations, effect.waited);
}

AllocatorProcess::AllocatorProcess(World* world, allocator::StreamCoreConfig config)
    : Process(&world->loop, "allocator"), world_(world), config_(std::move(config)) {
  world->allocator = this;
}

void AllocatorProcess::OnStart() {
  core_ = std::make_unique<allocator::StreamCore>(config_, world_->rng.Next());
  runner_ = std::make_unique<
      CoreRunner<allocator::StreamCore, allocator::StreamEvent, allocator::StreamEffect, Tap>>(
      world_, this, core_.get(), allocator::StreamEvent(allocator::StreamWake{}),
      [this](std::vector<allocator::StreamEffect> effects) { CarryOut(std::move(effects)); });
  runner_->Arm();
}

void AllocatorProcess::OnEnd() {
  runner_.reset();
  core_.reset();
  streams_.clear();
  world_->quotas.AllEnded();
  world_->network.Drop(this);
}

void AllocatorProcess::CarryOut(std::vector<allocator::StreamEffect> effects) {
  for (allocator::StreamEffect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
  if (++steps_ % kCheckEvery == 0) Check();
}

void AllocatorProcess::Do(allocator::SendResponse& send) {
  world_->quotas.Allocated(send.stream, send.response);
  const auto it = streams_.find(send.stream);
  if (it != streams_.end()) it->second.send(std::move(send.response));
}
void AllocatorProcess::Do(allocator::EndStream& end) {
  world_->quotas.Ended(end.stream);
  auto node = streams_.extract(end.stream);
  if (!node.empty()) node.mapped().end(end.status);
}
void AllocatorProcess::Do(allocator::RunDone& run) {
  if (run.full) world_->wishes.RanOverAll(loop().now());
}

void AllocatorProcess::Check() {
  const allocator::AllocatorCore* core = core_->allocator();
  if (core == nullptr) return;
  const absl::Status status = core->CheckInvariants();
  if (!status.ok()) {
    world_->verdict.Fail("the allocator's books add up", std::string(status.message()));
  }
}

uint64_t AllocatorProcess::Open(std::function<void(allocator::v1::AllocateResponse)> send,
                                std::function<void(absl::Status)> end) {
  const uint64_t stream = next_stream_++;
  streams_[stream] = {std::move(send), std::move(end)};
  return stream;
}

void AllocatorProcess::Receive(uint64_t stream,
                               std::shared_ptr<const allocator::v1::AllocateRequest> request) {
  world_->quotas.Told(stream, *request);
  runner_->Step(allocator::RequestArrived{stream, std::move(request)});
}

void AllocatorProcess::Ended(uint64_t stream) {
  streams_.erase(stream);
  world_->quotas.Ended(stream);
  runner_->Step(allocator::StreamEnded{stream});
}

}  // namespace tessera::sim
