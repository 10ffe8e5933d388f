#include "services/master/core/allocation_inquiry.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/master/core/refusals.h"
#include "services/model/quantities.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

constexpr size_t kOfferHoldersMax = 10;

// Whoever holds offers, the most first.
void AddOfferHolders(const Books& books, ops::ExplainAllocationResponse* answer) {
  std::vector<const Framework*> holders;
  books.frameworks.ForEach([&](const Framework& framework) {
    if (!framework.offers.empty()) holders.push_back(&framework);
  });
  const size_t shown = std::min(holders.size(), kOfferHoldersMax);
  std::partial_sort(holders.begin(), holders.begin() + shown, holders.end(),
                    [](const Framework* left, const Framework* right) {
                      if (left->offers.size() != right->offers.size()) {
                        return left->offers.size() > right->offers.size();
                      }
                      return left->id < right->id;
                    });
  for (size_t i = 0; i < shown; ++i) {
    model::Quantities offered;
    for (OfferNumber number : holders[i]->offers) {
      offered += model::Quantities::OfScalars(books.offers.Find(number)->resources);
    }
    auto* holder = answer->add_offer_holders();
    holder->set_framework_id(holders[i]->id);
    holder->set_framework_name(holders[i]->info.name());
    holder->set_offers(holders[i]->offers.size());
    model::wire::ToProto(offered, holder->mutable_offered());
  }
}

}  // namespace

absl::StatusOr<AllocationInquiry> InquireAllocation(const Books& books,
                                                    const ops::ExplainAllocationRequest& request) {
  const std::string& id = request.framework_id();
  const Framework* framework = books.frameworks.FindById(id);
  if (framework == nullptr || framework->phase == FrameworkPhase::kAdmitting) {
    return rpc::Error(absl::StatusCode::kNotFound, pb::ErrorDetail::UNKNOWN_FRAMEWORK,
                      books.frameworks.IsCompleted(id)
                          ? absl::StrCat("framework ", id, " has ended")
                          : absl::StrCat("no framework has the id '", id, "'"));
  }
  if (!request.role().empty() && !framework->roles.contains(request.role())) {
    return rpc::Error(
        absl::StatusCode::kNotFound, pb::ErrorDetail::UNKNOWN_ROLE,
        absl::StrCat("framework ", id, " does not subscribe to role '", request.role(),
                     "', but to: ", absl::StrJoin(framework->roles, ", ")));
  }
  AllocationInquiry inquiry;
  for (const std::string& role : framework->roles) {
    if (!request.role().empty() && role != request.role()) continue;
    alloc::ExplainAllocationRequest& question = inquiry.questions.emplace_back();
    question.set_framework_id(id);
    question.set_role(role);
    question.set_max_agents(request.max_agents());
    *question.mutable_needed() = request.needed();
  }
  inquiry.answer.set_framework_name(framework->info.name());
  AddOfferHolders(books, &inquiry.answer);
  return inquiry;
}

absl::Status InquiryFailed(const absl::Status& status) {
  const auto later = [](const std::string& what) {
    return Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::RECOVERING,
                 absl::Milliseconds(500), what);
  };
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
      absl::IsCancelled(status)) {
    return later(absl::StrCat("the allocator does not answer: ", status.message()));
  }
  // The books have both, so that the news is on its way.
  if (absl::IsNotFound(status)) {
    return later(absl::StrCat("the allocator is not told yet: ", status.message()));
  }
  return status;
}

}  // namespace tessera::master
