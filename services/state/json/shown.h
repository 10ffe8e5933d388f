// What writes each kind of row into the read endpoints: the JSON side of the feed's table of kinds
// (services/feed/core/kinds.h). A kind without an entry here does not compile.
//
// Pure.
#pragma once

#include <string_view>
#include <tuple>

#include "services/feed/core/kinds.h"
#include "services/state/json/object_json.h"

namespace tessera::state {

template <typename Row>
struct ShownAs;

template <>
struct ShownAs<feed::ClusterPtr> {
  static constexpr std::string_view kWhere = "/state itself, /version, /flags";
  static constexpr auto* kWrite = WriteOpenCluster;
};
template <>
struct ShownAs<feed::RolePtr> {
  static constexpr std::string_view kWhere = "/roles";
  static constexpr auto* kWrite = WriteRole;
};
template <>
struct ShownAs<feed::AgentPtr> {
  static constexpr std::string_view kWhere = "slaves[]; short in recovered_slaves[]";
  static constexpr auto* kWrite = WriteOpenAgent;
};
template <>
struct ShownAs<feed::FrameworkPtr> {
  static constexpr std::string_view kWhere = "frameworks[], completed_frameworks[]";
  static constexpr auto* kWrite = WriteOpenFrameworkSummary;
};
template <>
struct ShownAs<feed::TaskRow> {
  static constexpr std::string_view kWhere = "tasks[], unreachable_tasks[], completed_tasks[]";
  static constexpr auto* kWrite = WriteTask;
};
template <>
struct ShownAs<feed::ExecutorPtr> {
  static constexpr std::string_view kWhere = "executors[]";
  static constexpr auto* kWrite = WriteExecutor;
};
template <>
struct ShownAs<feed::OfferPtr> {
  static constexpr std::string_view kWhere = "offers[]";
  static constexpr auto* kWrite = WriteOffer;
};

static_assert(std::apply(
                  [](const auto&... kind) {
                    return (!ShownAs<typename std::decay_t<decltype(kind)>::Row>::kWhere.empty() &&
                            ...);
                  },
                  feed::Kinds::kTable),
              "a kind of row is shown nowhere");

}  // namespace tessera::state
