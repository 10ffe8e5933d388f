#include "services/allocator/core/offer_constraints.h"

#include <re2/re2.h>

namespace tessera::allocator {
namespace {

// The bounds of Mesos 1.11's defaults.
constexpr int64_t kExpressionMemoryMax = 4096;
constexpr int kProgramSizeMax = 100;

std::unique_ptr<re2::RE2> Compile(const std::string& text) {
  re2::RE2::Options options;
  options.set_max_mem(kExpressionMemoryMax);
  options.set_log_errors(false);
  auto expression = std::make_unique<re2::RE2>(text, options);
  if (!expression->ok() || expression->ProgramSize() > kProgramSizeMax) return nullptr;
  return expression;
}

}  // namespace

OfferConstraints::OfferConstraints(std::vector<Group> groups) : groups_(std::move(groups)) {
  for (const Group& group : groups_) {
    auto& expressions = expressions_.emplace_back();
    for (const Constraint& constraint : group) {
      const bool is_expression = constraint.predicate == Predicate::kMatches ||
                                 constraint.predicate == Predicate::kNotMatches;
      expressions.push_back(is_expression ? Compile(constraint.text) : nullptr);
      if (is_expression && expressions.back() == nullptr) ++bad_expressions_;
    }
  }
}

OfferConstraints::~OfferConstraints() = default;

bool OfferConstraints::Hold(const AttributeTexts& attributes) const {
  if (groups_.empty()) return true;
  for (size_t g = 0; g < groups_.size(); ++g) {
    bool all = true;
    for (size_t c = 0; c < groups_[g].size() && all; ++c) {
      all = Holds(groups_[g][c], expressions_[g][c].get(), attributes);
    }
    if (all) return true;
  }
  return false;
}

bool OfferConstraints::Holds(const Constraint& constraint, const re2::RE2* expression,
                             const AttributeTexts& attributes) const {
  const auto any = [&](auto fits) {
    for (const auto& [name, text] : attributes) {
      if (name == constraint.attribute && fits(text)) return true;
    }
    return false;
  };
  const auto equals = [&](const std::string& text) { return text == constraint.text; };
  const auto matches = [&](const std::string& text) {
    return re2::RE2::FullMatch(text, *expression);
  };
  switch (constraint.predicate) {
    case Predicate::kExists:
      return any([](const std::string&) { return true; });
    case Predicate::kNotExists:
      return !any([](const std::string&) { return true; });
    case Predicate::kEquals:
      return any(equals);
    case Predicate::kNotEquals:
      return !any(equals);
    case Predicate::kMatches:
      return expression != nullptr && any(matches);
    case Predicate::kNotMatches:
      return expression != nullptr && !any(matches);
  }
  return false;
}

}  // namespace tessera::allocator
