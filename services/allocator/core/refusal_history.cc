#include "services/allocator/core/refusal_history.h"

#include <algorithm>

namespace tessera::allocator {

absl::Duration RefusalHistory::Note(ClientNum client, AgentNum agent, uint64_t fingerprint,
                                    absl::Time now, absl::Duration asked, absl::Duration most) {
  if (asked >= most) return asked;
  if (Index(client) >= clients_.size()) clients_.resize(Index(client) + 1);
  if (size_ >= bound_) DropForgotten(now);
  auto& rows = clients_[Index(client)];
  auto found = rows.find(agent);
  if (found == rows.end()) {
    if (size_ >= bound_) return asked;
    found = rows.try_emplace(agent).first;
    found->second.remembered_until = absl::InfinitePast();
    ++size_;
  }
  Row& row = found->second;
  const bool again = row.fingerprint == fingerprint && now <= row.remembered_until;
  row.in_a_row = again ? row.in_a_row + 1 : 0;
  row.fingerprint = fingerprint;
  absl::Duration life = asked;
  for (int i = 0; i < row.in_a_row && life < most; ++i) life *= 2;
  life = std::min(life, most);
  row.remembered_until = now + 2 * life;
  return life;
}

void RefusalHistory::ForgetClient(ClientNum client) {
  if (Index(client) >= clients_.size()) return;
  auto& rows = clients_[Index(client)];
  size_ -= rows.size();
  rows.clear();
}

void RefusalHistory::ForgetAgent(AgentNum agent) {
  if (size_ == 0) return;
  for (auto& rows : clients_) size_ -= rows.erase(agent);
}

void RefusalHistory::DropForgotten(absl::Time now) {
  constexpr absl::Duration kBetween = absl::Seconds(10);
  if (now < next_drop_) return;
  next_drop_ = now + kBetween;
  size_ = 0;
  for (auto& rows : clients_) {
    absl::erase_if(rows, [now](const auto& entry) { return entry.second.remembered_until < now; });
    size_ += rows.size();
  }
}

}  // namespace tessera::allocator
