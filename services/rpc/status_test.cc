#include "services/rpc/status.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::rpc {
namespace {

using model::v1::ErrorDetail;

TEST(StatusTest, ADetailSurvivesTheWireAndBack) {
  ErrorDetail detail;
  detail.set_reason(ErrorDetail::OVERLOADED);
  detail.mutable_retry_after()->set_seconds(3);
  (*detail.mutable_facts())["queue"] = "agents";
  const absl::Status sent = Error(absl::StatusCode::kResourceExhausted, detail, "too many");
  const absl::Status got = FromGrpc(ToGrpc(sent));
  EXPECT_EQ(got.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(got.message(), "too many");
  const auto seen = DetailOf(got);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->SerializeAsString(), detail.SerializeAsString());
}

TEST(StatusTest, EveryCodeIsTheSameOnBothSides) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    const grpc::Status wire = ToGrpc(status);
    EXPECT_EQ(wire.error_code(), code);
    EXPECT_TRUE(wire.error_details().empty());
    EXPECT_EQ(FromGrpc(wire), status);
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(StatusTest, TheWireFormIsThatOfGoogleRpcStatus) {
  const grpc::Status wire =
      ToGrpc(Error(absl::StatusCode::kAborted, ErrorDetail::VERSION_CONFLICT, "no"));
  const std::string url(kErrorDetailUrl);
  const std::string any =
      std::string("\x0a") + static_cast<char>(url.size()) + url + "\x12\x02\x08\x12";
  const std::string by_hand =
      std::string("\x08\x0a\x12\x02no\x1a") + static_cast<char>(any.size()) + any;
  EXPECT_EQ(wire.error_details(), by_hand);
}

TEST(StatusTest, GarbageInDetailsCostsOnlyTheDetails) {
  for (const char* garbage :
       {"\xff\xff\xff", "\x1a\x7f", "\x1a\x02\xff\xff", "plain text", "\x08"}) {
    const absl::Status got =
        FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "message", garbage));
    EXPECT_EQ(got.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(got.message(), "message");
    EXPECT_EQ(ReasonOf(got), ErrorDetail::REASON_UNSPECIFIED);
  }
}

TEST(StatusTest, AnUnknownCodeIsUnknown) {
  const absl::Status got = FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(99), "odd"));
  EXPECT_EQ(got.code(), absl::StatusCode::kUnknown);
}

TEST(StatusTest, ALongMessageIsCut) {
  const grpc::Status wire = ToGrpc(absl::InternalError(std::string(1 << 20, 'x')));
  EXPECT_EQ(wire.error_message().size(), 4096u);
}

TEST(StatusTest, TheShortFormsCarryTheirReason) {
  EXPECT_EQ(ReasonOf(NotLeader("m:1")), ErrorDetail::NOT_LEADER);
  EXPECT_EQ(DetailOf(NotLeader("m:1"))->leader_address(), "m:1");
  EXPECT_EQ(ReasonOf(NotLeader("")), ErrorDetail::NOT_LEADER);
  EXPECT_EQ(ReasonOf(Overloaded("x")), ErrorDetail::OVERLOADED);
  EXPECT_EQ(DetailOf(InvalidField("task.name", "is empty"))->field(), "task.name");
  EXPECT_EQ(InvalidField("task.name", "is empty").message(), "task.name: is empty");
}

}  // namespace
}  // namespace tessera::rpc
