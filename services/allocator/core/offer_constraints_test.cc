#include "services/allocator/core/offer_constraints.h"

#include <string>

#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

using Predicate = OfferConstraints::Predicate;

const AttributeTexts kAttributes = {{"hostname", "n1.example"}, {"rack", "r1"}, {"rack", "r2"}};

bool Holds(const std::string& attribute, Predicate predicate, const std::string& text = "") {
  return OfferConstraints({{{attribute, predicate, text}}}).Hold(kAttributes);
}

TEST(OfferConstraints, Predicates) {
  EXPECT_TRUE(Holds("rack", Predicate::kExists));
  EXPECT_FALSE(Holds("zone", Predicate::kExists));
  EXPECT_FALSE(Holds("rack", Predicate::kNotExists));
  EXPECT_TRUE(Holds("zone", Predicate::kNotExists));
  EXPECT_TRUE(Holds("rack", Predicate::kEquals, "r2"));
  EXPECT_FALSE(Holds("rack", Predicate::kEquals, "r"));
  EXPECT_FALSE(Holds("zone", Predicate::kEquals, "z"));
  EXPECT_FALSE(Holds("rack", Predicate::kNotEquals, "r2"));
  EXPECT_TRUE(Holds("rack", Predicate::kNotEquals, "r3"));
  EXPECT_TRUE(Holds("zone", Predicate::kNotEquals, "z"));
  EXPECT_TRUE(Holds("hostname", Predicate::kMatches, "n[0-9]+\\..*"));
  EXPECT_FALSE(Holds("hostname", Predicate::kMatches, "n[0-9]+"));  // the whole value
  EXPECT_FALSE(Holds("hostname", Predicate::kNotMatches, "n1.*"));
  EXPECT_TRUE(Holds("zone", Predicate::kNotMatches, ".*"));
}

TEST(OfferConstraints, GroupsAreAlternativesOfConjunctions) {
  const OfferConstraints constraints(
      {{{"rack", Predicate::kEquals, "r1"}, {"zone", Predicate::kExists, ""}},
       {{"hostname", Predicate::kEquals, "n1.example"}}});
  EXPECT_TRUE(constraints.Hold(kAttributes));
  EXPECT_FALSE(constraints.Hold({{"rack", "r1"}}));
  EXPECT_TRUE(constraints.Hold({{"rack", "r1"}, {"zone", "z"}}));
  EXPECT_TRUE(OfferConstraints({}).Hold({}));
}

TEST(OfferConstraints, BadExpressionsNeverHold) {
  for (const char* text : {"(", "a{1000}", "(((a{20}){20}){20})"}) {
    for (Predicate predicate : {Predicate::kMatches, Predicate::kNotMatches}) {
      const OfferConstraints constraints({{{"rack", predicate, text}}});
      EXPECT_EQ(constraints.bad_expressions(), 1u) << text;
      EXPECT_FALSE(constraints.Hold(kAttributes)) << text;
    }
  }
}

}  // namespace
}  // namespace tessera::allocator
