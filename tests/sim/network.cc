#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace tessera::sim {

Wire::Wire(Network* network, WireEnd first, WireEnd second)
    : network_(network), ends_{std::move(first), std::move(second)} {
  for (int i = 0; i < 2; ++i) {
    lives_[i] = ends_[i].process->life();
    last_[i] = network_->loop().now();
  }
}

void Wire::Arrive(int to, std::function<void()> action) {
  last_[to] = std::max(last_[to], network_->loop().now() + network_->Delay());
  network_->loop().At(last_[to], [self = shared_from_this(), to, action = std::move(action)] {
    if (!self->open_) {
      if (self->network_->loop().now() > self->words_until_[to] || !self->Lives(to)) return;
      self->network_->faults()->Add(Bite::kWordsOutlivedProcess);
      action();
    } else if (self->silent_[to]) {
      self->held_.push_back(action);
    } else {
      action();
    }
  });
}

void Wire::Send(const Process* from, std::function<void()> action) {
  if (!open_) return;
  const int to = 1 - IndexOf(from);
  Arrive(to, [self = shared_from_this(), to, action = std::move(action)] {
    if (self->Lives(to) && !self->told_[to]) action();
  });
}

void Wire::Close(const Process* from, const absl::Status& status) {
  if (!open_) return;
  const int self_end = IndexOf(from);
  const int to = 1 - self_end;
  Arrive(to, [self = shared_from_this(), to, status] {
    self->open_ = false;
    self->Tell(to, status);
  });
  // What the other end still sends is not read any more.
  network_->loop().After(absl::ZeroDuration(), [self = shared_from_this(), self_end, status] {
    self->Tell(self_end, status);
  });
}

void Wire::Break() {
  // On a silent wire, nothing tells an end that the other one is gone.
  if (!open_ || silent()) return;
  open_ = false;
  network_->faults()->Add(Bite::kWireBroken);
  for (int end = 0; end < 2; ++end) {
    // An end that still hears something hears that first.
    const absl::Time told = std::max(network_->loop().now(), words_until_[end]);
    network_->loop().At(told + network_->NoticeDelay(), [self = shared_from_this(), end] {
      self->Tell(end, absl::UnavailableError("the connection broke"));
    });
  }
}

void Wire::BreakAfterWords(const Process* from) {
  if (!open_ || silent()) return;
  const int to = 1 - IndexOf(from);
  const absl::Time now = network_->loop().now();
  // Some moment before the last word arrives, or all of them.
  if (last_[to] > now) {
    const double part = std::min(1.0, 1.5 * network_->rng().Unit());
    words_until_[to] = now + (last_[to] - now) * part;
  }
  Break();
}

void Wire::Silence() { Silence(true, true); }

void Wire::SilenceFrom(const Process* from) {
  const int to = 1 - IndexOf(from);
  Silence(to == 0, to == 1);
}

void Wire::Silence(bool first, bool second) {
  if (!open_ || silent()) return;
  silent_[0] = first;
  silent_[1] = second;
  network_->faults()->Add(Bite::kWireSilent);
  for (int end = 0; end < 2; ++end) {
    network_->loop().After(network_->KeepaliveDelay(),
                           [self = shared_from_this(), end] { self->GiveUp(end); });
  }
}

void Wire::GiveUp(int end) {
  if (!silent()) return;
  Tell(end, absl::UnavailableError("keepalive found no answer"));
  if (told_[0] && told_[1]) open_ = false;
}

void Wire::Resume() {
  if (!silent()) return;
  silent_[0] = silent_[1] = false;
  const std::deque<std::function<void()>> held = std::exchange(held_, {});
  if (told_[0] || told_[1] || !Lives(0) || !Lives(1)) return Break();
  for (const auto& action : held) {
    if (!open_) return;
    network_->faults()->Add(Bite::kLateDelivery);
    action();
  }
}

void Wire::Tell(int end, const absl::Status& status) {
  if (told_[end]) return;
  told_[end] = true;
  if (Lives(end) && ends_[end].on_closed) ends_[end].on_closed(status);
}

std::shared_ptr<Wire> Network::Connect(WireEnd first, WireEnd second) {
  const Partitioned* parting = PartingOf(first.process, second.process);
  const bool hangs = parting != nullptr && parting->parting != Parting::kRefusing;
  if (!second.process->up() || parting != nullptr) {
    Process* caller = first.process;
    caller->Later(hangs ? options_.connect_timeout : Delay() * 2,
                  [on_closed = std::move(first.on_closed)] {
                    on_closed(absl::UnavailableError("connection refused"));
                  });
    return nullptr;
  }
  // Now and then: there are as many calls as there are events.
  if (wires_.size() >= forget_at_) Forget();
  wires_.push_back(std::make_shared<Wire>(this, std::move(first), std::move(second)));
  return wires_.back();
}

void Network::Drop(const Process* process) {
  for (const auto& wire : wires_) {
    if (!wire->Touches(process)) continue;
    if (process->stopping()) {
      wire->Close(process, absl::UnavailableError("the process stops"));
    } else if (InUse(*wire)) {
      wire->BreakAfterWords(process);
    }
  }
}

void Network::Vanish(const Process* process) {
  for (const auto& wire : wires_) {
    if (wire->Touches(process)) wire->Silence();
  }
}

bool Network::BreakOne(bool silently) {
  Forget();
  if (wires_.empty()) return false;
  const auto& wire = wires_[rng_.Below(wires_.size())];
  if (silently) {
    wire->Silence();
  } else {
    wire->Break();
  }
  return true;
}

void Network::BreakAllOf(const Process* process) {
  for (const auto& wire : wires_) {
    if (wire->Touches(process) && InUse(*wire)) wire->Break();
  }
}

void Network::Partition(const Process* a, const Process* b, Parting parting) {
  partitions_.push_back({a, b, parting});
  faults_->Add(Bite::kPartition);
  if (parting == Parting::kOneWay) faults_->Add(Bite::kOneWayPartition);
  for (const auto& wire : wires_) {
    if (!wire->Between(a, b) || !InUse(*wire)) continue;
    switch (parting) {
      case Parting::kRefusing:
        wire->Break();
        break;
      case Parting::kSilent:
        wire->Silence();
        break;
      case Parting::kOneWay:
        wire->SilenceFrom(a);
        break;
    }
  }
}

void Network::Heal() {
  const std::vector<Partitioned> healed = std::exchange(partitions_, {});
  const std::vector<std::shared_ptr<Wire>> wires = wires_;
  for (const Partitioned& parting : healed) {
    for (const auto& wire : wires) {
      if (wire->Between(parting.a, parting.b)) wire->Resume();
    }
  }
}

const Network::Partitioned* Network::PartingOf(const Process* a, const Process* b) const {
  const auto found = std::find_if(partitions_.begin(), partitions_.end(), [&](const auto& parting) {
    return (parting.a == a && parting.b == b) || (parting.a == b && parting.b == a);
  });
  return found == partitions_.end() ? nullptr : &*found;
}

// Of a wire that nobody holds nothing comes any more: a call that was answered.
bool Network::InUse(const Wire& wire) const {
  return wire.open() && wire.weak_from_this().use_count() > 1;
}

void Network::Forget() {
  std::erase_if(wires_, [this](const auto& wire) { return !InUse(*wire); });
  forget_at_ = 2 * wires_.size() + 1;
}

}  // namespace tessera::sim
