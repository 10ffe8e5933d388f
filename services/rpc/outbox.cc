#include "services/rpc/outbox.h"

#include "absl/strings/str_cat.h"
#include "services/rpc/status.h"

namespace tessera::rpc::stream_internal {

absl::Status SlowConsumer(size_t queued) {
  return Error(absl::StatusCode::kResourceExhausted, model::v1::ErrorDetail::SLOW_CONSUMER,
               absl::StrCat("the consumer does not keep up: ", queued,
                            " messages wait; read faster or subscribe to less"));
}

}  // namespace tessera::rpc::stream_internal
