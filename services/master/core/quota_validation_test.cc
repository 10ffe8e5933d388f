#include "services/master/core/quota_validation.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

reg::Quota Quota(const std::string& guarantees, const std::string& limits = "") {
  reg::Quota quota;
  model::wire::ToProto(*model::Quantities::Parse(guarantees), quota.mutable_guarantees());
  model::wire::ToProto(*model::Quantities::Parse(limits), quota.mutable_limits());
  return quota;
}

// All roles are new.
absl::Status Check(const Quotas& quotas) {
  std::set<std::string> roles;
  for (const auto& [role, quota] : quotas) roles.insert(role);
  return CheckHierarchy(quotas, roles);
}

TEST(QuotaValidation, GuaranteesBeneathARoleArePartOfItsOwn) {
  const Quotas fits = {{"a", Quota("cpus:10")},
                       {"a/b", Quota("cpus:4;mem:100")},
                       {"a/b/c", Quota("cpus:4")},
                       {"a/d", Quota("cpus:6")}};
  EXPECT_TRUE(Check(fits).ok()) << Check(fits);
  EXPECT_EQ(GuaranteedIn(fits), *model::Quantities::Parse("cpus:10;mem:100"));
  // Four levels down, and nobody between has a quota.
  Quotas exceeds = fits;
  exceeds["a/x/y/z"] = Quota("cpus:0.001");
  const absl::Status refused = Check(exceeds);
  EXPECT_EQ(rpc::ReasonOf(refused), pb::ErrorDetail::INVALID_FIELD);
  EXPECT_TRUE(absl::StrContains(refused.message(), "10.001 cpus")) << refused;
  // A role without a guarantee of its own has what is beneath it.
  const Quotas none = {{"a/b", Quota("cpus:4")}, {"a/d", Quota("cpus:6")}, {"e", Quota("cpus:1")}};
  EXPECT_TRUE(Check(none).ok());
  EXPECT_EQ(GuaranteedIn(none), *model::Quantities::Parse("cpus:11"));
}

TEST(QuotaValidation, LimitsHoldForAllBeneath) {
  EXPECT_FALSE(Check({{"a", Quota("cpus:2", "cpus:1")}}).ok());
  EXPECT_FALSE(Check({{"a", Quota("", "cpus:5")}, {"a/b/c", Quota("cpus:6")}}).ok());
  EXPECT_TRUE(Check({{"a", Quota("", "cpus:6")}, {"a/b/c", Quota("cpus:6")}}).ok());
  // A limit beneath may be larger: both hold.
  EXPECT_TRUE(Check({{"a", Quota("", "cpus:6")}, {"a/b", Quota("", "cpus:9")}}).ok());
  reg::Quota nothing;
  (*nothing.mutable_limits()->mutable_amounts())["gpus"].set_milli(0);
  EXPECT_TRUE(Check({{"a", nothing}}).ok());
  EXPECT_FALSE(Check({{"a", nothing}, {"a/b", Quota("gpus:1")}}).ok());
}

TEST(QuotaValidation, WhatContradictedItselfBeforeStandsInNobodysWay) {
  reg::Quota absurd;
  (*absurd.mutable_guarantees()->mutable_amounts())["cpus"].set_milli(-1);
  const Quotas quotas = {{"old", Quota("cpus:1")},
                         {"old/x", Quota("cpus:2")},
                         {"old/x/y", Quota("cpus:1")},
                         {"new", Quota("cpus:1")},
                         {"of/other/rules", absurd}};
  EXPECT_TRUE(CheckHierarchy(quotas, {"new"}).ok());
  EXPECT_TRUE(CheckHierarchy(quotas, {"of/other/rules", "none"}).ok());
  EXPECT_FALSE(CheckHierarchy(quotas, {"old/x/y"}).ok());
}

TEST(QuotaValidation, ConsumptionIsOfTheSubtreeAndNotRevocable) {
  const model::Resources total =
      *model::ParseResources("cpus:10;cpus(a):1;cpus(a/b):2;cpus(ab):4;ports(a):[1-9]");
  model::Resources used = model::ParseResources("cpus:3")->AllocatedCopy("a/b");
  used += model::ParseResources("cpus(a/b):2")->AllocatedCopy("a/b");
  used += model::ParseResources("cpus:2")->AllocatedCopy("b");
  model::Resource spare = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(5));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  spare.set_metadata(metadata);
  spare.Allocate("a");
  used += spare;
  RoleConsumption consumption;
  consumption.AddTotal(total);
  consumption.AddUsed(used);
  EXPECT_EQ(consumption.Within("a"), *model::Quantities::Parse("cpus:6"));
  EXPECT_EQ(consumption.Within("a/b"), *model::Quantities::Parse("cpus:5"));
  EXPECT_EQ(consumption.Within("ab"), *model::Quantities::Parse("cpus:4"));
  EXPECT_EQ(consumption.Within("c"), model::Quantities());
}

}  // namespace
}  // namespace tessera::master
