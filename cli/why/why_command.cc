#include "cli/why/why_command.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>
#include <iostream>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/calls.h"
#include "cli/endpoints.h"
#include "cli/why/explanation_text.h"
#include "services/base/status_macros.h"
#include "services/model/quantities.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

ABSL_FLAG(std::string, resources, "",
          "what an offer must hold to be of use, e.g. cpus:4;mem:1024 (mem and disk in MiB); "
          "default: whatever the framework may be offered");
ABSL_FLAG(uint32_t, nearest, 10, "number of agents listed that come nearest to fitting, 1 to 100");
ABSL_DECLARE_FLAG(std::string, role);

namespace tessera::cli {

namespace {

using operators::v1::ExplainAllocationRequest;
using operators::v1::ExplainAllocationResponse;

// The id of the one framework called `name`; `otherwise` when none is, or nobody can say.
absl::StatusOr<std::string> IdOfName(const std::string& name, const absl::Status& otherwise) {
  const auto frameworks = ListFrameworks();
  if (!frameworks.ok()) return otherwise;
  std::vector<std::string> ids;
  for (const auto& view : *frameworks) {
    if (view.framework().info().name() == name) ids.push_back(view.framework().info().id());
  }
  if (ids.size() == 1) return ids[0];
  if (ids.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("several frameworks are called \"", name,
                     "\": name one by its id: ", absl::StrJoin(ids, ", ")));
  }
  return absl::NotFoundError(absl::StrCat(otherwise.message(),
                                          ", nor that name: `tessera frameworks` lists those there "
                                          "are"));
}

absl::StatusOr<ExplainAllocationResponse> Ask(ExplainAllocationRequest* request) {
  auto answer = ExplainAllocation(*request);
  if (rpc::ReasonOf(answer.status()) != model::v1::ErrorDetail::UNKNOWN_FRAMEWORK) return answer;
  ASSIGN_OR_RETURN(const std::string id, IdOfName(request->framework_id(), answer.status()));
  request->set_framework_id(id);
  return ExplainAllocation(*request);
}

absl::Status PrintAsJson(const ExplainAllocationResponse& answer) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(answer, &json, options);
  if (!status.ok()) return absl::InternalError(std::string(status.message()));
  std::cout << json << "\n";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> Why(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) {
    return absl::InvalidArgumentError("name one framework: `tessera why FRAMEWORK`");
  }
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  const uint32_t nearest = absl::GetFlag(FLAGS_nearest);
  if (nearest < 1 || nearest > 100) {
    return absl::InvalidArgumentError("--nearest must be from 1 to 100");
  }
  const auto needed = model::Quantities::Parse(absl::GetFlag(FLAGS_resources));
  if (!needed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--resources: ", needed.status().message()));
  }
  ExplainAllocationRequest request;
  request.set_framework_id(arguments[0]);
  request.set_role(absl::GetFlag(FLAGS_role));
  request.set_max_agents(nearest);
  model::wire::ToProto(*needed, request.mutable_needed());
  ASSIGN_OR_RETURN(const ExplainAllocationResponse answer, Ask(&request));
  if (json) {
    RETURN_IF_ERROR(PrintAsJson(answer));
  } else {
    std::cout << ExplanationText(request, answer);
  }
  return 0;
}

}  // namespace tessera::cli
