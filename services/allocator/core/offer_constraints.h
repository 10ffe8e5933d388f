// Conditions on agents' attributes, for one role of a framework: any group must hold, and a group
// holds when all its constraints do.
//
// An attribute may occur more than once: `equals` and `matches` want one such value, `not_equals`
// and `not_matches` want none. Expressions are RE2, match whole values, and are bounded in size;
// one that is not accepted makes a constraint that never holds. Immutable.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace re2 {
class RE2;
}

namespace tessera::allocator {

// Name and text of each attribute; `hostname`, `region` and `zone` are among them.
using AttributeTexts = std::vector<std::pair<std::string, std::string>>;

class OfferConstraints {
 public:
  enum class Predicate { kExists, kNotExists, kEquals, kNotEquals, kMatches, kNotMatches };
  struct Constraint {
    std::string attribute;
    Predicate predicate = Predicate::kExists;
    std::string text;  // of the last four
  };
  using Group = std::vector<Constraint>;

  // No group: nothing is asked for.
  explicit OfferConstraints(std::vector<Group> groups);
  ~OfferConstraints();

  bool Hold(const AttributeTexts& attributes) const;
  // Expressions that are not accepted.
  size_t bad_expressions() const { return bad_expressions_; }

 private:
  bool Holds(const Constraint& constraint, const re2::RE2* expression,
             const AttributeTexts& attributes) const;

  std::vector<Group> groups_;
  std::vector<std::vector<std::unique_ptr<re2::RE2>>> expressions_;  // like groups_; null for most
  size_t bad_expressions_ = 0;
};

}  // namespace tessera::allocator
