#include "services/master/core/allocator_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"

namespace tessera::master {

AllocatorLink::AllocatorLink(const MasterConfig* config, uint64_t epoch, RequestIds* ids,
                             base::Rng rng, Outbox* outbox, Timers* timers,
                             MasterCounters* counters)
    : config_(config),
      epoch_(epoch),
      ids_(ids),
      outbox_(outbox),
      timers_(timers),
      counters_(counters),
      rng_(rng),
      retry_({config->retry_initial, config->retry_max}) {}

void AllocatorLink::Dial() {
  link_ = ids_->NextLink();
  outbox_->Push(ConnectAllocator{link_});
}

bool AllocatorLink::OnConnected(absl::Time now, LinkId link) {
  if (link != link_ || connected_) return false;
  connected_ = true;
  heard_ = now;
  ArmPing(now);
  sequence_ = 0;
  ClearGathered();
  ++counters_->allocator_links;
  return true;
}

bool AllocatorLink::OnDisconnected(absl::Time now, LinkId link, const absl::Status& status) {
  if (link != link_) return false;
  outbox_->Note(base::Severity::kWarning, "the stream to the allocator ended: ", status.ToString());
  connected_ = false;
  ClearGathered();
  link_ = LinkId();
  timers_->Arm(now + retry_.Next(rng_), TimerKind::kAllocatorRetry);
  return true;
}

bool AllocatorLink::Accepts(absl::Time now, const AllocatorMessage& message) {
  if (!connected_ || message.link != link_ || message.response.epoch() != epoch_) return false;
  heard_ = now;
  retry_.Reset();
  return true;
}

void AllocatorLink::OnRetry() {
  if (!link_.valid()) Dial();
}

void AllocatorLink::ArmPing(absl::Time now) {
  timers_->Arm(now + config_->allocator_timeout / 4, TimerKind::kAllocatorPing, 0, link_.value());
}

void AllocatorLink::OnPingDue(absl::Time now, const Timer& timer) {
  if (!connected_ || timer.generation != link_.value()) return;
  if (now >= heard_ + config_->allocator_timeout) {
    ++counters_->allocator_timeouts;
    return Restart(absl::StrCat("the allocator has answered nothing for ",
                                absl::FormatDuration(config_->allocator_timeout)));
  }
  Send(false, true);
  ArmPing(now);
}

void AllocatorLink::Restart(const std::string& why) {
  if (!connected_) return;
  outbox_->Note(base::Severity::kError, "restarting the stream to the allocator: ", why);
  connected_ = false;
  ClearGathered();
  outbox_->Push(CloseAllocator{link_});
}

void AllocatorLink::Close() {
  if (link_.valid()) outbox_->Push(CloseAllocator{link_});
  connected_ = false;
  link_ = LinkId();
}

alloc::ClusterEvent& AllocatorLink::Add() {
  if (!connected_) {
    dropped_.Clear();
    return dropped_;
  }
  if (MessageIsFull()) Send(false);
  return *gathered_.add_events();
}

bool AllocatorLink::MessageIsFull() {
  for (; counted_ < gathered_.events_size(); ++counted_) {
    counted_bytes_ += gathered_.events(counted_).ByteSizeLong();
  }
  return counted_ >= kBatchPartsMax || counted_bytes_ >= kBatchBytesMax;
}

void AllocatorLink::CompleteSnapshot() { Send(true); }

void AllocatorLink::Flush() {
  if (connected_ && gathered_.events_size() > 0) Send(false);
}

void AllocatorLink::Send(bool snapshot_complete, bool ping) {
  gathered_.set_epoch(epoch_);
  gathered_.set_sequence(++sequence_);
  gathered_.set_snapshot_complete(snapshot_complete);
  gathered_.set_ping(ping);
  outbox_->Push(ToAllocator{link_, std::exchange(gathered_, {})});
  ClearGathered();
}

void AllocatorLink::ClearGathered() {
  gathered_.Clear();
  counted_ = 0;
  counted_bytes_ = 0;
}

}  // namespace tessera::master
