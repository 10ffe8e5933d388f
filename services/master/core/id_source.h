// The ids that one term of leadership gives: of frameworks, agents, subscriptions, and the
// incarnations of what is launched. They begin with the epoch, which nothing brings back.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/model/incarnation.h"

namespace tessera::master {

class IdSource {
 public:
  // `master_id` names the term: `<cell>-<epoch>`.
  IdSource(uint64_t epoch, std::string master_id)
      : epoch_(epoch), master_id_(std::move(master_id)) {}

  uint64_t epoch() const { return epoch_; }
  const std::string& master_id() const { return master_id_; }

  // The next one that nobody has, even if an agent brought it without having got it here.
  template <typename Taken>
  std::string NewFrameworkId(Taken taken) {
    std::string id;
    do {
      id = absl::StrFormat("%s-%04d", master_id_, frameworks_++);
    } while (taken(id));
    return id;
  }
  template <typename Taken>
  std::string NewAgentId(Taken taken) {
    std::string id;
    do {
      id = absl::StrCat(master_id_, "-S", agents_++);
    } while (taken(id));
    return id;
  }
  std::string NewSubscriptionId() { return absl::StrCat(epoch_, "-", ++subscriptions_); }
  // For a launch of a task, or a new executor.
  model::Incarnation NewIncarnation() { return {epoch_, ++incarnations_}; }

 private:
  const uint64_t epoch_;
  const std::string master_id_;
  uint64_t frameworks_ = 0;
  uint64_t agents_ = 0;
  uint64_t subscriptions_ = 0;
  uint64_t incarnations_ = 0;
};

}  // namespace tessera::master
