// Gives each distinct string a dense number, so that cores can keep their tables in vectors.
//
// Invariants: an id means the same string from Intern() until Release(); numbers in use are below
// limit(); with Reuse::kNever a number is never given twice. The order in which strings come
// decides the numbers: the same calls give the same ids. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/base/bug.h"

namespace tessera::base {

enum class Reuse {
  kNever,
  // A released number is given to the next new string, the last released one first.
  kReleased,
};

// `Id` is a StrongId over an unsigned integer.
template <typename Id>
class Interner {
 public:
  using Rep = typename Id::ValueType;

  // At most `capacity` strings at a time (with Reuse::kNever: ever).
  explicit Interner(size_t capacity = std::numeric_limits<Rep>::max() - size_t{1},
                    Reuse reuse = Reuse::kNever)
      : capacity_(capacity), reuse_(reuse) {}

  // Keys of `ids_` view the strings of `names_`.
  Interner(const Interner&) = delete;
  Interner& operator=(const Interner&) = delete;
  Interner(Interner&&) = default;
  Interner& operator=(Interner&&) = default;

  // The id of `name`, a new one when it is not known. RESOURCE_EXHAUSTED when the table is full.
  absl::StatusOr<Id> Intern(std::string_view name) {
    if (auto found = ids_.find(name); found != ids_.end()) return found->second;
    Id id;
    if (!free_.empty()) {
      id = free_.back();
      free_.pop_back();
      names_[id.index()] = std::string(name);
    } else {
      if (names_.size() >= capacity_) {
        return absl::ResourceExhaustedError(
            absl::StrCat("the table of names is full with ", names_.size(), " entries"));
      }
      id = Id(static_cast<Rep>(names_.size()));
      names_.emplace_back(name);
    }
    ids_.emplace(std::string_view(*names_[id.index()]), id);
    return id;
  }

  std::optional<Id> Find(std::string_view name) const {
    auto found = ids_.find(name);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  bool Contains(Id id) const {
    return id.index() < names_.size() && names_[id.index()].has_value();
  }

  // The string of an id that is in use.
  const std::string& Name(Id id) const {
    static const std::string* const kNone = new std::string();
    if (TESSERA_BUG_IF(!Contains(id), "name asked of an id that is not in use")) return *kNone;
    return *names_[id.index()];
  }

  // Forgets the id's string.
  void Release(Id id) {
    if (TESSERA_BUG_IF(!Contains(id), "released an id that is not in use")) return;
    ids_.erase(std::string_view(*names_[id.index()]));
    names_[id.index()].reset();
    if (reuse_ == Reuse::kReleased) free_.push_back(id);
  }

  // Strings known now.
  size_t size() const { return ids_.size(); }
  // One more than the largest number ever given: the size of a vector indexed by these ids.
  size_t limit() const { return names_.size(); }

 private:
  size_t capacity_;
  Reuse reuse_;
  // A deque's elements never move, so views of them stay good.
  std::deque<std::optional<std::string>> names_;
  absl::flat_hash_map<std::string_view, Id> ids_;
  std::vector<Id> free_;
};

}  // namespace tessera::base
