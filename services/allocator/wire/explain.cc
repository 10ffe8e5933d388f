#include "services/allocator/wire/explain.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/allocator/core/explain.h"
#include "services/model/quantities.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

using Count = v1::ExplainAllocationResponse::Count;

constexpr uint32_t kNearestDefault = 10;
constexpr uint32_t kNearestMax = 100;
// Each name is looked up on each agent.
constexpr int kNeededNamesMax = 32;

Count::Reason ReasonOf(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kNone:
      return Count::OFFERABLE;
    case Obstacle::kPaused:
      return Count::PAUSED;
    case Obstacle::kFrameworkInactive:
      return Count::FRAMEWORK_INACTIVE;
    case Obstacle::kSuppressed:
      return Count::SUPPRESSED;
    case Obstacle::kOfferCap:
      return Count::OFFER_CAP;
    case Obstacle::kSilence:
      return Count::SILENCE;
    case Obstacle::kNoDemand:
      return Count::NO_DEMAND;
    case Obstacle::kAgentInactive:
      return Count::AGENT_INACTIVE;
    case Obstacle::kNotWhitelisted:
      return Count::NOT_WHITELISTED;
    case Obstacle::kConstraint:
      return Count::CONSTRAINT;
    case Obstacle::kRegion:
      return Count::REGION_GATE;
    case Obstacle::kGpu:
      return Count::GPU_GATE;
    case Obstacle::kTooSmall:
      return Count::AGENT_TOO_SMALL;
    case Obstacle::kTooLittleLeft:
      return Count::TOO_LITTLE_LEFT;
    case Obstacle::kHeldByItself:
      return Count::HELD_BY_ITSELF;
    case Obstacle::kReservedForOthers:
      return Count::RESERVED_FOR_OTHERS;
    case Obstacle::kCapability:
      return Count::GATE;
    case Obstacle::kOverLimit:
      return Count::OVER_LIMIT;
    case Obstacle::kHeadroomHeld:
      return Count::HEADROOM_HELD;
    case Obstacle::kFiltered:
      return Count::FILTERED;
  }
  return Count::REASON_UNSPECIFIED;
}

void ToProto(const Amounts& amounts, const Vocabulary& words, model::v1::Quantities* message) {
  for (size_t name = 0; name < words.scalar_names(); ++name) {
    if (amounts[name] <= 0) continue;
    (*message->mutable_amounts())[words.ScalarName(name)].set_milli(amounts[name]);
  }
}

absl::StatusOr<ClientNum> ClientOf(const v1::ExplainAllocationRequest& request,
                                   const ClusterTables& tables, const Vocabulary& words) {
  const std::optional<FrameworkNum> framework = words.FindFramework(request.framework_id());
  if (!framework || tables.frameworks.Find(*framework) == nullptr) {
    return rpc::Error(
        absl::StatusCode::kNotFound, model::v1::ErrorDetail::UNKNOWN_FRAMEWORK,
        absl::StrCat("the allocator knows no framework '", request.framework_id(), "'"));
  }
  const std::optional<RoleNum> role = words.FindRole(request.role());
  const std::optional<ClientNum> client =
      role ? tables.frameworks.FindClient(*framework, *role) : std::nullopt;
  if (!client || !tables.frameworks.client(*client).subscribed) {
    return rpc::Error(absl::StatusCode::kNotFound, model::v1::ErrorDetail::UNKNOWN_ROLE,
                      absl::StrCat("framework ", request.framework_id(),
                                   " does not subscribe to role '", request.role(), "'"));
  }
  return *client;
}

absl::StatusOr<std::optional<Minimum>> NeededOf(const v1::ExplainAllocationRequest& request) {
  if (request.needed().amounts_size() > kNeededNamesMax) {
    return rpc::InvalidField("needed", absl::StrCat("at most ", kNeededNamesMax, " names"));
  }
  const auto needed = model::wire::FromProto(request.needed());
  if (!needed.ok()) return rpc::InvalidField("needed", std::string(needed.status().message()));
  if (needed->empty()) return std::nullopt;
  return Minimum({*needed});
}

}  // namespace

absl::StatusOr<v1::ExplainAllocationResponse> ExplainFromProto(
    const v1::ExplainAllocationRequest& request, const AllocatorCore& core,
    const Vocabulary& words) {
  const ClusterTables& tables = core.tables();
  const auto client = ClientOf(request, tables, words);
  if (!client.ok()) return client.status();
  auto needed = NeededOf(request);
  if (!needed.ok()) return needed.status();
  Question question{.client = *client, .needed = *std::move(needed)};
  question.nearest_max =
      request.max_agents() == 0 ? kNearestDefault : std::min(request.max_agents(), kNearestMax);
  const Explanation explanation = core.Explain(question);

  v1::ExplainAllocationResponse response;
  response.set_role(request.role());
  response.set_agents(explanation.agents);
  std::vector<Count> counts;
  for (size_t i = 0; i < kObstacles; ++i) {
    if (explanation.counts[i] == 0) continue;
    counts.emplace_back();
    counts.back().set_reason(ReasonOf(static_cast<Obstacle>(i)));
    counts.back().set_agents(explanation.counts[i]);
  }
  std::stable_sort(counts.begin(), counts.end(), [](const Count& left, const Count& right) {
    return left.agents() > right.agents();
  });
  for (Count& count : counts) *response.add_counts() = std::move(count);
  for (const Explanation::NearAgent& near : explanation.nearest) {
    auto* message = response.add_nearest();
    message->set_agent_id(words.AgentId(near.agent));
    message->set_hostname(tables.agents.at(near.agent).spec.hostname);
    message->set_reason(ReasonOf(near.obstacle));
    model::wire::ToProto(model::Quantities::OfAll(ResourcesOf(near.available, words)),
                         message->mutable_available());
    for (const auto& [name, milli] : near.missing) {
      (*message->mutable_missing()->mutable_amounts())[name].set_milli(milli);
    }
  }
  for (const Explanation::Holder& holder : explanation.holders) {
    const Client& of = tables.frameworks.client(holder.client);
    auto* message = response.add_holders();
    message->set_framework_id(words.FrameworkId(of.framework));
    message->set_role(words.role(of.role).path);
    message->set_agents(holder.agents);
    ToProto(holder.held, words, message->mutable_held());
  }
  return response;
}

}  // namespace tessera::allocator
