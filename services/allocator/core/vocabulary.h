// The names that the allocator's numbers stand for.
//
// The wire interns names here; the core only reads. Framework and agent numbers are given again
// after Release; role, scalar and kind numbers stay. Every table is bounded: beyond it Intern
// returns ResourceExhausted and changes nothing. Not thread safe.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "services/allocator/core/amounts.h"
#include "services/allocator/core/ids.h"
#include "services/model/resource.h"

namespace tessera::allocator {

struct VocabularyBounds {
  size_t frameworks = 100'000;
  size_t agents = 1'000'000;
  size_t roles = 1'000'000;
  size_t kinds = 4'000'000;
};

// Numbers for strings; the smallest free one is not promised, only density.
class NameTable {
 public:
  std::optional<uint32_t> Find(std::string_view name) const;
  // Gives the known number or a new one; nullopt when `bound` names are known already.
  std::optional<uint32_t> Intern(std::string_view name, size_t bound);
  void Release(uint32_t number);
  const std::string& Name(uint32_t number) const { return names_[number]; }
  size_t size() const { return numbers_.size(); }

 private:
  std::vector<std::string> names_;
  std::vector<uint32_t> free_;
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

// What all resources of one identity have in common. Plain scalars (unreserved, not revocable, no
// disk, no provider) have no kind: they live in Amounts.
struct Kind {
  // Never allocated. Of an indivisible kind it holds the value of one piece.
  model::Resource prototype;
  // Index into Amounts; kNoNumber for ranges and sets, and for scalars of an uncounted name.
  uint32_t scalar_name = kNoNumber;
  // Thousandths of one piece; 0 when the kind can be divided.
  int64_t piece = 0;
  // The role that holds it, kNoRole when unreserved.
  RoleNum reserved_to = kNoRole;
  bool revocable = false;
  bool shared = false;
  // More than one level of reservation.
  bool refined = false;
  // Ranges and sets: the value that was met first. Most agents have the same.
  std::shared_ptr<const model::Resource> value;
  // The next kind of the same hash, kNoNumber at the end.
  uint32_t next_alike = kNoNumber;

  // A scalar that counts: for shares, quota and head-room.
  bool is_scalar() const { return scalar_name != kNoNumber; }
  bool is_reserved() const { return reserved_to != kNoRole; }
};

struct Role {
  std::string path;
  RoleNum parent = kRootRole;
  uint32_t depth = 0;  // 1 for top-level roles
};

class Extras;

class Vocabulary {
 public:
  explicit Vocabulary(VocabularyBounds bounds = {});
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  absl::StatusOr<FrameworkNum> InternFramework(std::string_view id);
  std::optional<FrameworkNum> FindFramework(std::string_view id) const;
  const std::string& FrameworkId(FrameworkNum number) const {
    return frameworks_.Name(Index(number));
  }
  void ReleaseFramework(FrameworkNum number) { frameworks_.Release(Index(number)); }

  absl::StatusOr<AgentNum> InternAgent(std::string_view id);
  std::optional<AgentNum> FindAgent(std::string_view id) const;
  const std::string& AgentId(AgentNum number) const { return agents_.Name(Index(number)); }
  void ReleaseAgent(AgentNum number) { agents_.Release(Index(number)); }

  // Interns the role and all above it. The caller has checked the name.
  absl::StatusOr<RoleNum> InternRole(std::string_view path);
  std::optional<RoleNum> FindRole(std::string_view path) const;
  const Role& role(RoleNum number) const { return roles_[Index(number)]; }
  size_t roles() const { return roles_.size(); }
  // `role` is `ancestor` or lies beneath it.
  bool IsWithin(RoleNum role, RoleNum ancestor) const;

  // OutOfRange when kScalarNamesMax names are known already: the name is uncounted from then on.
  absl::StatusOr<uint32_t> InternScalarName(std::string_view name);
  std::optional<uint32_t> FindScalarName(std::string_view name) const;
  const std::string& ScalarName(size_t number) const { return scalar_names_[number]; }
  size_t scalar_names() const { return scalar_names_.size(); }

  // The kind of a resource that is not a plain scalar. Amount and allocation do not matter, except
  // that the value of an indivisible resource belongs to its kind.
  absl::StatusOr<KindNum> InternKind(const model::Resource& resource);
  const Kind& kind(KindNum number) const { return kinds_[Index(number)]; }
  size_t kinds() const { return kinds_.size(); }

  // A place for the extras last made of items with this hash: most agents bring what others have
  // brought already, and share it.
  std::shared_ptr<const Extras>& RecentExtras(size_t hash) {
    return recent_extras_[hash % recent_extras_.size()];
  }
  // Names of scalars that are uncounted, in the order in which they were met.
  const std::vector<std::string>& uncounted_names() const { return uncounted_names_; }

  // The counted name `number` is one that a quota speaks of; cpus, mem, disk and gpus always are.
  void NoteQuotaName(uint32_t number) { quota_names_ |= 1u << number; }
  size_t quota_names() const { return static_cast<size_t>(std::popcount(quota_names_)); }

  // Likewise for the values of ranges and sets.
  struct KindAndValue {
    KindNum kind{kNoNumber};
    std::shared_ptr<const model::Resource> value;
  };
  KindAndValue& RecentValue(size_t hash) { return recent_values_[hash % recent_values_.size()]; }

  // What was worked out lately: `rest` is `whole` without `less`. Agents that have the same in use
  // of the same have the same left. A memory of answers, so const.
  template <typename Part>
  struct Difference {
    std::shared_ptr<const Part> whole;
    std::shared_ptr<const Part> less;
    std::shared_ptr<const Part> rest;
    bool contained = false;
  };
  Difference<Extras>& RecentDifference(const Extras* whole, const Extras* less) const {
    return PlaceOf(whole, less, &recent_rests_);
  }
  Difference<model::Resource>& RecentDifference(const model::Resource* whole,
                                                const model::Resource* less) const {
    return PlaceOf(whole, less, &recent_value_rests_);
  }

  // What the wire met and could not take as it was.
  void NoteLeftOut() { ++left_out_; }
  void NoteBadExpression() { ++bad_expressions_; }
  // Guarantees and limits of resources of uncounted names, each time that one was met.
  uint64_t left_out() const { return left_out_; }
  // Expressions of offer constraints that are not accepted.
  uint64_t bad_expressions() const { return bad_expressions_; }

 private:
  template <typename Part, typename Places>
  static Difference<Part>& PlaceOf(const Part* whole, const Part* less, Places* places) {
    return (*places)[absl::HashOf(whole, less) % places->size()];
  }
  // kNoNumber when there is none.
  uint32_t FindKind(size_t hash, const model::Resource& prototype, bool pieces) const;

  const VocabularyBounds bounds_;
  NameTable frameworks_;
  NameTable agents_;
  std::vector<Role> roles_;
  absl::flat_hash_map<std::string, RoleNum> role_numbers_;
  std::vector<std::string> scalar_names_;
  std::vector<Kind> kinds_;
  std::vector<std::string> uncounted_names_;
  uint32_t quota_names_ = 0xf;  // bit i stands for name i
  uint64_t left_out_ = 0;
  uint64_t bad_expressions_ = 0;
  absl::flat_hash_map<size_t, uint32_t> kinds_by_hash_;  // the newest of each hash
  std::array<std::shared_ptr<const Extras>, 256> recent_extras_;
  std::array<KindAndValue, 256> recent_values_;
  mutable std::array<Difference<Extras>, 64> recent_rests_;
  mutable std::array<Difference<model::Resource>, 64> recent_value_rests_;
};

}  // namespace tessera::allocator
