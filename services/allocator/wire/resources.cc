#include "services/allocator/wire/resources.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/role.h"
#include "services/model/scalar.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

// Adds one message to a bag that is being gathered.
struct BagBuilder {
  Bag bag;
  std::vector<Item> items;

  absl::Status Add(const model::v1::Resource& message, const std::string& field,
                   Vocabulary* words) {
    if (message.has_scalar() && message.scalar().milli() < 0) {
      return SnapshotRequired(absl::StrCat(field, ": a negative amount of ", message.name()));
    }
    // Sums on one agent may be larger than what one object may have: cut off, because the same
    // snapshot would be refused for ever.
    if (message.has_scalar() && message.scalar().milli() > model::kResourceThousandthsMax) {
      model::v1::Resource cut = message;
      cut.mutable_scalar()->set_milli(model::kResourceThousandthsMax);
      return Add(cut, field, words);
    }
    // By far the most are plain scalars of a known name.
    if (message.has_scalar() && message.reservations().empty() && !message.has_disk() &&
        !message.revocable() && !message.shared() && !message.has_provider_id()) {
      if (const std::optional<uint32_t> name = words->FindScalarName(message.name())) {
        Amounts more;
        more[*name] = message.scalar().milli();
        bag.plain += more;
        return absl::OkStatus();
      }
    }
    // The mark of allocation is the message's, not the kind's.
    absl::StatusOr<model::Resource> resource = model::wire::UnallocatedFromProto(message);
    if (!resource.ok()) {
      return rpc::InvalidField(field, std::string(resource.status().message()));
    }
    ASSIGN_OR_RETURN(const Bag one, BagOf(model::Resources({*std::move(resource)}), words));
    bag.plain += one.plain;
    if (one.extras != nullptr) {
      items.insert(items.end(), one.extras->items().begin(), one.extras->items().end());
    }
    return absl::OkStatus();
  }

  Bag Build(const Vocabulary& words) {
    bag.extras = Extras::Make(std::move(items), words);
    return std::move(bag);
  }
};

}  // namespace

absl::Status SnapshotRequired(const std::string& message) {
  return rpc::Error(absl::StatusCode::kOutOfRange, model::v1::ErrorDetail::SNAPSHOT_REQUIRED,
                    message);
}

absl::StatusOr<Bag> BagFromProto(const ResourceMessages& messages, const std::string& field,
                                 Vocabulary* words) {
  BagBuilder builder;
  for (const model::v1::Resource& message : messages) {
    RETURN_IF_ERROR(builder.Add(message, field, words));
  }
  return builder.Build(*words);
}

absl::StatusOr<std::vector<std::pair<RoleNum, Bag>>> BagsByRole(const ResourceMessages& messages,
                                                                const std::string& field,
                                                                Vocabulary* words) {
  // In the order of the roles' first mention: hardly ever more than one.
  std::vector<std::pair<std::string, BagBuilder>> builders;
  for (const model::v1::Resource& message : messages) {
    if (!message.has_allocation_role()) {
      return rpc::InvalidField(
          field, absl::StrCat("resource ", message.name(), " has no allocation_role"));
    }
    auto builder = std::find_if(builders.begin(), builders.end(), [&](const auto& one) {
      return one.first == message.allocation_role();
    });
    if (builder == builders.end()) {
      builder = builders.insert(builder, {message.allocation_role(), BagBuilder()});
    }
    RETURN_IF_ERROR(builder->second.Add(message, field, words));
  }
  std::vector<std::pair<RoleNum, Bag>> bags;
  for (auto& [path, builder] : builders) {
    ASSIGN_OR_RETURN(const RoleNum role, RoleFromProto(path, field, words));
    bags.emplace_back(role, builder.Build(*words));
  }
  return bags;
}

void BagToProto(const Bag& bag, const std::string& role, const Vocabulary& words,
                ResourceMessages* messages) {
  for (size_t name = 0; name < words.scalar_names(); ++name) {
    if (bag.plain[name] == 0) continue;
    model::v1::Resource* message = messages->Add();
    message->set_name(words.ScalarName(name));
    message->mutable_scalar()->set_milli(bag.plain[name]);
    message->set_allocation_role(role);
  }
  if (bag.extras == nullptr) return;
  for (const model::Resource& resource : ResourcesOf({{}, bag.extras}, words)) {
    model::v1::Resource* message = messages->Add();
    model::wire::ToProto(resource, message);
    message->set_allocation_role(role);
  }
}

absl::StatusOr<Quota> QuotaFromProto(const model::v1::Quantities& guarantees,
                                     const model::v1::Quantities& limits, Vocabulary* words) {
  Quota quota;
  const auto read = [&](const model::v1::Quantities& quantities, const char* field,
                        Amounts* amounts) -> absl::Status {
    // By name: the order of a map field is not the same twice.
    std::map<std::string, int64_t> by_name;
    for (const auto& [name, amount] : quantities.amounts()) by_name[name] = amount.milli();
    for (const auto& [name, milli] : by_name) {
      if (name.empty() || milli < 0) {
        return rpc::InvalidField(field, "names must not be empty, nor amounts negative");
      }
      const absl::StatusOr<uint32_t> number = words->InternScalarName(name);
      if (number.ok()) {
        words->NoteQuotaName(*number);
        (*amounts)[*number] = std::min(milli, model::kQuantityThousandthsMax);
      } else if (words->quota_names() < kScalarNamesMax) {
        // Names of agents' resources came first. Those of quotas come first in a snapshot.
        return SnapshotRequired(absl::StrCat(field, ": ", number.status().message()));
      } else {
        words->NoteLeftOut();
      }
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read(guarantees, "quota_set.guarantees", &quota.guarantee));
  RETURN_IF_ERROR(read(limits, "quota_set.limits", &quota.limit));
  return quota;
}

absl::StatusOr<RoleNum> RoleFromProto(const std::string& role, const std::string& field,
                                      Vocabulary* words) {
  const absl::Status valid = model::ValidateRole(role);
  if (!valid.ok()) return rpc::InvalidField(field, std::string(valid.message()));
  return words->InternRole(role);
}

}  // namespace tessera::allocator
