#include "tests/sim/network.h"

#include <algorithm>

namespace tessera::sim {

Wire::Wire(Network* network, WireEnd first, WireEnd second)
    : network_(network), ends_{std::move(first), std::move(second)} {
  for (int i = 0; i < 2; ++i) {
    lives_[i] = ends_[i].process->life();
    last_[i] = network_->loop().now();
  }
}

void Wire::Send(const Process* from, std::function<void()> action) {
  if (!open_) return;
  const int to = 1 - IndexOf(from);
  last_[to] = std::max(last_[to], network_->loop().now() + network_->Delay());
  network_->loop().At(last_[to], [self = shared_from_this(), to, action = std::move(action)] {
    const Process* receiver = self->ends_[to].process;
    const bool lives = receiver->up() && receiver->life() == self->lives_[to];
    if (self->open_ && lives && !self->told_[to]) action();
  });
}

void Wire::Close(const Process* from, const absl::Status& status) {
  if (!open_) return;
  const int self_end = IndexOf(from);
  const int to = 1 - self_end;
  last_[to] = std::max(last_[to], network_->loop().now() + network_->Delay());
  network_->loop().At(last_[to], [self = shared_from_this(), to, status] {
    if (!self->open_) return;
    self->open_ = false;
    self->Tell(to, status);
  });
  // What the other end still sends is not read any more.
  network_->loop().After(absl::ZeroDuration(), [self = shared_from_this(), self_end, status] {
    self->Tell(self_end, status);
  });
}

void Wire::Break() {
  if (!open_) return;
  open_ = false;
  for (int end = 0; end < 2; ++end) {
    network_->loop().After(network_->NoticeDelay(), [self = shared_from_this(), end] {
      self->Tell(end, absl::UnavailableError("the connection broke"));
    });
  }
}

void Wire::Tell(int end, const absl::Status& status) {
  if (told_[end]) return;
  told_[end] = true;
  const Process* process = ends_[end].process;
  if (process->up() && process->life() == lives_[end] && ends_[end].on_closed) {
    ends_[end].on_closed(status);
  }
}

std::shared_ptr<Wire> Network::Connect(WireEnd first, WireEnd second) {
  if (!second.process->up() || Separated(first.process, second.process)) {
    Process* caller = first.process;
    caller->Later(Delay() * 2, [on_closed = std::move(first.on_closed)] {
      on_closed(absl::UnavailableError("connection refused"));
    });
    return nullptr;
  }
  Forget();
  wires_.push_back(std::make_shared<Wire>(this, std::move(first), std::move(second)));
  return wires_.back();
}

void Network::Drop(const Process* process) {
  for (const auto& wire : wires_) {
    if (!wire->Touches(process)) continue;
    if (process->stopping()) {
      wire->Close(process, absl::UnavailableError("the process stops"));
    } else {
      wire->Break();
    }
  }
}

bool Network::BreakOne() {
  Forget();
  if (wires_.empty()) return false;
  wires_[rng_.Below(wires_.size())]->Break();
  return true;
}

void Network::Partition(const Process* a, const Process* b) {
  partitions_.emplace_back(a, b);
  for (const auto& wire : wires_) {
    if (wire->Between(a, b)) wire->Break();
  }
}

void Network::Heal() { partitions_.clear(); }

bool Network::Separated(const Process* a, const Process* b) const {
  return std::any_of(partitions_.begin(), partitions_.end(), [&](const auto& pair) {
    return (pair.first == a && pair.second == b) || (pair.first == b && pair.second == a);
  });
}

void Network::Forget() {
  std::erase_if(wires_, [](const auto& wire) { return !wire->open(); });
}

}  // namespace tessera::sim
