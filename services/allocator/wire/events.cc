#include "services/allocator/wire/events.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/allocator/wire/resources.h"
#include "services/base/status_macros.h"
#include "services/model/ids.h"
#include "services/model/role.h"
#include "services/model/wire/attributes.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

using Message = v1::ClusterEvent;

absl::StatusOr<absl::Duration> DurationFromProto(const google::protobuf::Duration& message,
                                                 const char* field) {
  const absl::Duration duration =
      absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
  if (duration < absl::ZeroDuration()) {
    return rpc::InvalidField(field, "a duration must not be negative");
  }
  return duration;
}

absl::StatusOr<model::Quantities> QuantitiesFromProto(const model::v1::Quantities& message,
                                                      const char* field) {
  absl::StatusOr<model::Quantities> quantities = model::wire::FromProto(message);
  if (!quantities.ok()) {
    return rpc::InvalidField(field, std::string(quantities.status().message()));
  }
  return quantities;
}

// Reads one message with the names it may bring along.
class Reader {
 public:
  Reader(const std::string& region, Vocabulary* words, std::vector<Event>* events)
      : region_(region), words_(*words), events_(*events) {}

  absl::Status Read(const Message& message) {
    switch (message.kind_case()) {
      case Message::kFrameworkAdded:
        return On(message.framework_added());
      case Message::kFrameworkUpdated:
        return On(message.framework_updated());
      case Message::kFrameworkRemoved:
        return OnFramework<FrameworkRemoved>(message.framework_removed().framework_id());
      case Message::kFrameworkActivated:
        return OnFramework<FrameworkActivated>(message.framework_activated().framework_id());
      case Message::kFrameworkDeactivated:
        return OnFramework<FrameworkDeactivated>(message.framework_deactivated().framework_id());
      case Message::kAgentAdded:
        return On(message.agent_added());
      case Message::kAgentUpdated:
        return On(message.agent_updated());
      case Message::kAgentRemoved:
        return OnAgent<AgentRemoved>(message.agent_removed().agent_id());
      case Message::kAgentActivated:
        return OnAgent<AgentActivated>(message.agent_activated().agent_id());
      case Message::kAgentDeactivated:
        return OnAgent<AgentDeactivated>(message.agent_deactivated().agent_id());
      case Message::kUnavailabilityUpdated:
        return On(message.unavailability_updated());
      case Message::kRecovered:
        return On(message.recovered());
      case Message::kConverted:
        return On(message.converted());
      case Message::kRevived:
        return OnRoles<Revived>(message.revived());
      case Message::kSuppressed:
        return OnRoles<Suppressed>(message.suppressed());
      case Message::kUnsuppressed:
        return OnRoles<Unsuppressed>(message.unsuppressed());
      case Message::kFiltersCleared:
        return OnRoles<FiltersCleared>(message.filters_cleared());
      case Message::kDemandStated:
        return On(message.demand_stated());
      case Message::kWeightSet:
        return On(message.weight_set());
      case Message::kQuotaSet:
        return On(message.quota_set());
      case Message::kInverseOfferAnswered:
        return On(message.inverse_offer_answered());
      case Message::kInverseOfferEnded:
        return On(message.inverse_offer_ended());
      case Message::kOffersEnded:
        return On(message.offers_ended());
      case Message::kRecoveryExpected:
        return On(message.recovery_expected());
      case Message::kWhitelistSet:
        return On(message.whitelist_set());
      case Message::KIND_NOT_SET:
        break;
    }
    return rpc::InvalidField("events.kind", "an event of no kind, or of one not known here");
  }

 private:
  // ---- Ids. New ones are interned where something is added; elsewhere they must be known.

  absl::StatusOr<FrameworkNum> NewFramework(const std::string& id, const char* field) {
    const absl::Status valid = model::ValidateId("framework id", id);
    if (!valid.ok()) return rpc::InvalidField(field, std::string(valid.message()));
    return words_.InternFramework(id);
  }
  absl::StatusOr<FrameworkNum> KnownFramework(const std::string& id) {
    const std::optional<FrameworkNum> number = words_.FindFramework(id);
    if (!number) return SnapshotRequired(absl::StrCat("unknown framework '", id, "'"));
    return *number;
  }
  absl::StatusOr<AgentNum> NewAgent(const std::string& id, const char* field) {
    const absl::Status valid = model::ValidateId("agent id", id);
    if (!valid.ok()) return rpc::InvalidField(field, std::string(valid.message()));
    return words_.InternAgent(id);
  }
  absl::StatusOr<AgentNum> KnownAgent(const std::string& id) {
    const std::optional<AgentNum> number = words_.FindAgent(id);
    if (!number) return SnapshotRequired(absl::StrCat("unknown agent '", id, "'"));
    return *number;
  }

  // ---- Frameworks.

  static std::shared_ptr<const OfferConstraints> ConstraintsOf(
      const model::v1::OfferConstraints::RoleConstraints& message) {
    using Constraint = model::v1::OfferConstraints::Constraint;
    using Predicate = OfferConstraints::Predicate;
    std::vector<OfferConstraints::Group> groups;
    for (const auto& group : message.groups()) {
      auto& constraints = groups.emplace_back();
      for (const Constraint& one : group.constraints()) {
        OfferConstraints::Constraint constraint{one.attribute(), Predicate::kExists, ""};
        switch (one.predicate_case()) {
          case Constraint::kExists:
            constraint.predicate = one.exists() ? Predicate::kExists : Predicate::kNotExists;
            break;
          case Constraint::kNotExists:
            constraint.predicate = one.not_exists() ? Predicate::kNotExists : Predicate::kExists;
            break;
          case Constraint::kEquals:
            constraint.predicate = Predicate::kEquals;
            constraint.text = one.equals();
            break;
          case Constraint::kNotEquals:
            constraint.predicate = Predicate::kNotEquals;
            constraint.text = one.not_equals();
            break;
          case Constraint::kMatches:
            constraint.predicate = Predicate::kMatches;
            constraint.text = one.matches();
            break;
          case Constraint::kNotMatches:
            constraint.predicate = Predicate::kNotMatches;
            constraint.text = one.not_matches();
            break;
          case Constraint::PREDICATE_NOT_SET:
            // An expression that is not accepted: never holds.
            constraint.predicate = Predicate::kMatches;
            constraint.text = "(";
            break;
        }
        constraints.push_back(std::move(constraint));
      }
    }
    return std::make_shared<OfferConstraints>(std::move(groups));
  }

  absl::StatusOr<FrameworkSpec> SpecOf(
      const model::v1::FrameworkInfo& info,
      const google::protobuf::RepeatedPtrField<std::string>& suppressed,
      const model::v1::OfferConstraints& constraints) {
    FrameworkSpec spec;
    for (int capability : info.capabilities()) {
      switch (capability) {
        case model::v1::FrameworkInfo::GPU_RESOURCES:
          spec.capabilities.gpu_resources = true;
          break;
        case model::v1::FrameworkInfo::REVOCABLE_RESOURCES:
          spec.capabilities.revocable_resources = true;
          break;
        case model::v1::FrameworkInfo::SHARED_RESOURCES:
          spec.capabilities.shared_resources = true;
          break;
        case model::v1::FrameworkInfo::RESERVATION_REFINEMENT:
          spec.capabilities.reservation_refinement = true;
          break;
        case model::v1::FrameworkInfo::REGION_AWARE:
          spec.capabilities.region_aware = true;
          break;
        default:
          break;  // the others do not concern what is offered
      }
    }
    for (const std::string& path : info.roles()) {
      ASSIGN_OR_RETURN(const RoleNum role, RoleFromProto(path, "info.roles", &words_));
      RoleSubscription subscription{role};
      const auto minimum = info.offer_filters().find(path);
      if (minimum != info.offer_filters().end()) {
        std::vector<model::Quantities> alternatives;
        for (const model::v1::Quantities& one : minimum->second.min_allocatable()) {
          ASSIGN_OR_RETURN(alternatives.emplace_back(),
                           QuantitiesFromProto(one, "info.offer_filters.min_allocatable"));
        }
        subscription.min_allocatable = Minimum(alternatives);
      }
      const auto conditions = constraints.by_role().find(path);
      if (conditions != constraints.by_role().end()) {
        subscription.constraints = ConstraintsOf(conditions->second);
        for (size_t i = 0; i < subscription.constraints->bad_expressions(); ++i) {
          words_.NoteBadExpression();
        }
      }
      spec.roles.push_back(std::move(subscription));
    }
    for (const std::string& path : suppressed) {
      const std::optional<RoleNum> role = words_.FindRole(path);
      bool found = false;
      for (RoleSubscription& subscription : spec.roles) {
        if (role != subscription.role) continue;
        subscription.suppressed = found = true;
      }
      if (!found) {
        return rpc::InvalidField("suppressed_roles",
                                 absl::StrCat("'", path, "' is not among the framework's roles"));
      }
    }
    return spec;
  }

  absl::Status On(const Message::FrameworkAdded& message) {
    ASSIGN_OR_RETURN(FrameworkSpec spec, SpecOf(message.info(), message.suppressed_roles(),
                                                message.offer_constraints()));
    ASSIGN_OR_RETURN(const FrameworkNum framework, NewFramework(message.info().id(), "info.id"));
    events_.push_back(
        FrameworkAdded{framework, std::move(spec), message.active(), message.outstanding_offers()});
    return absl::OkStatus();
  }

  absl::Status On(const Message::FrameworkUpdated& message) {
    ASSIGN_OR_RETURN(const FrameworkNum framework, KnownFramework(message.info().id()));
    ASSIGN_OR_RETURN(FrameworkSpec spec, SpecOf(message.info(), message.suppressed_roles(),
                                                message.offer_constraints()));
    events_.push_back(FrameworkUpdated{framework, std::move(spec)});
    return absl::OkStatus();
  }

  template <typename CoreEvent>
  absl::Status OnFramework(const std::string& id) {
    ASSIGN_OR_RETURN(const FrameworkNum framework, KnownFramework(id));
    events_.push_back(CoreEvent{framework});
    return absl::OkStatus();
  }

  template <typename CoreEvent, typename EventMessage>
  absl::Status OnRoles(const EventMessage& message) {
    ASSIGN_OR_RETURN(const FrameworkNum framework, KnownFramework(message.framework_id()));
    CoreEvent event{framework, {}};
    for (const std::string& path : message.roles()) {
      ASSIGN_OR_RETURN(const RoleNum role, RoleFromProto(path, "roles", &words_));
      event.roles.push_back(role);
    }
    events_.push_back(std::move(event));
    return absl::OkStatus();
  }

  // Ranges and sets, and names that no agent has, put no bound on what is offered; none is left
  // when there are no others.
  absl::StatusOr<std::optional<Amounts>> BoundOf(const model::v1::Quantities& message,
                                                 const char* field) {
    ASSIGN_OR_RETURN(const model::Quantities quantities, QuantitiesFromProto(message, field));
    Amounts amounts;
    bool any_known = quantities.empty();
    for (const auto& [name, amount] : quantities) {
      const std::optional<uint32_t> number = words_.FindScalarName(name);
      if (!number) continue;
      amounts[*number] = amount.thousandths();
      any_known = true;
    }
    if (!any_known) return std::nullopt;
    return amounts;
  }

  absl::Status On(const Message::DemandStated& message) {
    ASSIGN_OR_RETURN(const FrameworkNum framework, KnownFramework(message.framework_id()));
    ASSIGN_OR_RETURN(const RoleNum role,
                     RoleFromProto(message.role(), "demand_stated.role", &words_));
    DemandStated event{framework, role, std::nullopt, Minimum(), std::nullopt};
    if (message.has_wanted()) {
      ASSIGN_OR_RETURN(event.wanted, BoundOf(message.wanted(), "demand_stated.wanted"));
    }
    if (message.has_left()) {
      ASSIGN_OR_RETURN(const auto left, BoundOf(message.left(), "demand_stated.left"));
      event.left = left.value_or(Amounts());
    }
    if (message.has_smallest()) {
      ASSIGN_OR_RETURN(const model::Quantities smallest,
                       QuantitiesFromProto(message.smallest(), "demand_stated.smallest"));
      event.smallest = Minimum({smallest});
    }
    events_.push_back(std::move(event));
    return absl::OkStatus();
  }

  // ---- Agents.

  AgentSpec SpecOf(const model::v1::AgentInfo& info) {
    AgentSpec spec;
    spec.hostname = info.hostname();
    const absl::StatusOr<model::Attributes> attributes = model::wire::FromProto(info.attributes());
    if (attributes.ok()) {
      for (const model::Attribute& one : *attributes) {
        spec.attributes.emplace_back(one.name, one.ValueToString());
      }
    }
    spec.attributes.emplace_back("hostname", info.hostname());
    if (info.has_domain()) {
      spec.attributes.emplace_back("region", info.domain().region());
      spec.attributes.emplace_back("zone", info.domain().zone());
      spec.remote = !region_.empty() && info.domain().region() != region_;
    }
    return spec;
  }

  absl::Status On(const Message::AgentAdded& message) {
    ASSIGN_OR_RETURN(const AgentNum agent, NewAgent(message.info().id(), "info.id"));
    AgentAdded event{.agent = agent,
                     .spec = SpecOf(message.info()),
                     .active = message.active(),
                     .unavailable = message.has_unavailability(),
                     .replaces = message.replaces()};
    ASSIGN_OR_RETURN(event.total, BagFromProto(message.total(), "total", &words_));
    for (const v1::Holding& holding : message.holdings()) {
      ASSIGN_OR_RETURN(const FrameworkNum framework,
                       NewFramework(holding.framework_id(), "holdings.framework_id"));
      ASSIGN_OR_RETURN(auto bags, BagsByRole(holding.resources(), "holdings.resources", &words_));
      for (auto& [role, bag] : bags) {
        event.claims.push_back({framework, role, std::move(bag)});
      }
    }
    events_.push_back(std::move(event));
    return absl::OkStatus();
  }

  absl::Status On(const Message::AgentUpdated& message) {
    ASSIGN_OR_RETURN(const AgentNum agent, KnownAgent(message.info().id()));
    AgentUpdated event{agent, SpecOf(message.info()), {}};
    ASSIGN_OR_RETURN(event.total, BagFromProto(message.total(), "total", &words_));
    events_.push_back(std::move(event));
    return absl::OkStatus();
  }

  template <typename CoreEvent>
  absl::Status OnAgent(const std::string& id) {
    ASSIGN_OR_RETURN(const AgentNum agent, KnownAgent(id));
    events_.push_back(CoreEvent{agent});
    return absl::OkStatus();
  }

  // ---- Resources.

  absl::Status On(const Message::Recovered& message) {
    std::optional<absl::Duration> refuse;
    if (message.has_refuse_duration()) {
      ASSIGN_OR_RETURN(refuse,
                       DurationFromProto(message.refuse_duration(), "recovered.refuse_duration"));
    }
    ASSIGN_OR_RETURN(auto bags, BagsByRole(message.resources(), "recovered.resources", &words_));
    const std::optional<FrameworkNum> framework = words_.FindFramework(message.framework_id());
    const std::optional<AgentNum> agent = words_.FindAgent(message.agent_id());
    // Either may be gone by now, and what was held with it: the core counts these.
    for (auto& [role, bag] : bags) {
      events_.push_back(
          Recovered{agent.value_or(AgentNum{kNoNumber}),
                    {framework.value_or(FrameworkNum{kNoNumber}), role, std::move(bag)},
                    refuse});
    }
    return absl::OkStatus();
  }

  absl::Status On(const Message::Converted& message) {
    ASSIGN_OR_RETURN(const FrameworkNum framework, KnownFramework(message.framework_id()));
    ASSIGN_OR_RETURN(const AgentNum agent, KnownAgent(message.agent_id()));
    ASSIGN_OR_RETURN(auto consumed, BagsByRole(message.consumed(), "converted.consumed", &words_));
    ASSIGN_OR_RETURN(auto converted,
                     BagsByRole(message.converted(), "converted.converted", &words_));
    // Nothing becomes more copies of a shared volume.
    if (consumed.empty() && converted.size() == 1) consumed.emplace_back(converted[0].first, Bag());
    if (consumed.size() != 1 || converted.size() != 1 || consumed[0].first != converted[0].first) {
      return rpc::InvalidField("converted",
                               "consumed and converted must be of one and the same role");
    }
    events_.push_back(Converted{agent,
                                {framework, consumed[0].first, std::move(consumed[0].second)},
                                std::move(converted[0].second)});
    return absl::OkStatus();
  }

  // ---- Offers. Whoever they are about may be gone by now.

  absl::Status On(const Message::OffersEnded& message) {
    if (message.accepted() > message.offers() || message.withdrawn() > message.offers()) {
      return rpc::InvalidField("offers_ended.accepted", "more are accepted than have ended");
    }
    OffersEnded event{.framework = FrameworkNum{kNoNumber},
                      .offers = message.offers(),
                      .accepted = message.accepted(),
                      .withdrawn = message.withdrawn()};
    ASSIGN_OR_RETURN(event.lay, DurationFromProto(message.lay(), "offers_ended.lay"));
    if (const std::optional<FrameworkNum> framework =
            words_.FindFramework(message.framework_id())) {
      event.framework = *framework;
      events_.push_back(event);
    }
    return absl::OkStatus();
  }

  absl::Status On(const Message::UnavailabilityUpdated& message) {
    ASSIGN_OR_RETURN(const AgentNum agent, KnownAgent(message.agent_id()));
    events_.push_back(UnavailabilitySet{agent, message.has_unavailability()});
    return absl::OkStatus();
  }

  absl::Status On(const Message::InverseOfferAnswered& message) {
    InverseOfferAnswered event{FrameworkNum{kNoNumber}, AgentNum{kNoNumber}, absl::ZeroDuration()};
    if (message.has_refuse_duration()) {
      ASSIGN_OR_RETURN(
          event.refuse_duration,
          DurationFromProto(message.refuse_duration(), "inverse_offer_answered.refuse_duration"));
    }
    const std::optional<FrameworkNum> framework = words_.FindFramework(message.framework_id());
    const std::optional<AgentNum> agent = words_.FindAgent(message.agent_id());
    if (!framework || !agent) return absl::OkStatus();
    event.framework = *framework;
    event.agent = *agent;
    events_.push_back(event);
    return absl::OkStatus();
  }

  absl::Status On(const Message::InverseOfferEnded& message) {
    const std::optional<FrameworkNum> framework = words_.FindFramework(message.framework_id());
    const std::optional<AgentNum> agent = words_.FindAgent(message.agent_id());
    if (framework && agent) events_.push_back(InverseOfferEnded{*framework, *agent});
    return absl::OkStatus();
  }

  // ---- Settings.

  absl::Status On(const Message::WeightSet& message) {
    ASSIGN_OR_RETURN(const RoleNum role, RoleFromProto(message.role(), "weight_set.role", &words_));
    constexpr int64_t kMillionthsPerMilli = 1000;
    // Whoever set it should have been refused. Here it is only cut to the bounds: what is durable
    // comes in every snapshot, and nothing would be allocated any more.
    const int64_t milli = std::clamp<int64_t>(message.weight_milli(), 1, model::kWeightMilliMax);
    events_.push_back(WeightSet{role, milli * kMillionthsPerMilli});
    return absl::OkStatus();
  }

  absl::Status On(const Message::QuotaSet& message) {
    ASSIGN_OR_RETURN(const RoleNum role, RoleFromProto(message.role(), "quota_set.role", &words_));
    ASSIGN_OR_RETURN(const Quota quota,
                     QuotaFromProto(message.guarantees(), message.limits(), &words_));
    events_.push_back(QuotaSet{role, quota});
    return absl::OkStatus();
  }

  absl::Status On(const Message::RecoveryExpected& message) {
    ASSIGN_OR_RETURN(const absl::Duration timeout,
                     DurationFromProto(message.timeout(), "recovery_expected.timeout"));
    events_.push_back(RecoveryExpected{message.agents(), timeout});
    return absl::OkStatus();
  }

  absl::Status On(const Message::WhitelistSet& message) {
    if (message.all() && !message.hostnames().empty()) {
      return rpc::InvalidField("whitelist_set", "either all or hostnames, not both");
    }
    WhitelistSet event;
    if (!message.all()) {
      event.hostnames.emplace(message.hostnames().begin(), message.hostnames().end());
    }
    events_.push_back(std::move(event));
    return absl::OkStatus();
  }

  const std::string& region_;
  Vocabulary& words_;
  std::vector<Event>& events_;
};

}  // namespace

absl::Status EventsFromProto(const v1::ClusterEvent& message, const std::string& region,
                             Vocabulary* words, std::vector<Event>* events) {
  return Reader(region, words, events).Read(message);
}

void AllocationToProto(const Allocation& allocation, const Vocabulary& words,
                       v1::Allocation* message) {
  const std::string& role = words.role(allocation.role).path;
  message->set_framework_id(words.FrameworkId(allocation.framework));
  message->set_role(role);
  message->set_agent_id(words.AgentId(allocation.agent));
  BagToProto(allocation.bag, role, words, message->mutable_resources());
}

void AllocationToProto(const InverseAllocation& allocation, const Vocabulary& words,
                       v1::InverseAllocation* message) {
  message->set_framework_id(words.FrameworkId(allocation.framework));
  message->set_agent_id(words.AgentId(allocation.agent));
}

}  // namespace tessera::allocator
