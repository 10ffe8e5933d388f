#include "services/base/status_macros.h"

#include <memory>

#include "gtest/gtest.h"

namespace tessera::base {
namespace {

absl::StatusOr<std::unique_ptr<int>> Make(bool ok) {
  if (!ok) return absl::NotFoundError("nothing");
  return std::make_unique<int>(7);
}

absl::Status CheckOnly(bool ok, bool* reached) {
  RETURN_IF_ERROR(Make(ok));
  RETURN_IF_ERROR(absl::OkStatus());
  *reached = true;
  return absl::OkStatus();
}

absl::StatusOr<int> Assign(bool first, bool second) {
  ASSIGN_OR_RETURN(std::unique_ptr<int> a, Make(first));
  std::unique_ptr<int> b;
  ASSIGN_OR_RETURN(b, Make(second));
  return *a + *b;
}

TEST(StatusMacrosTest, ReturnsTheFirstFailure) {
  bool reached = false;
  EXPECT_EQ(CheckOnly(false, &reached), absl::NotFoundError("nothing"));
  EXPECT_FALSE(reached);
  EXPECT_TRUE(CheckOnly(true, &reached).ok());
  EXPECT_TRUE(reached);
}

TEST(StatusMacrosTest, MovesTheValueOut) {
  EXPECT_EQ(Assign(true, true).value(), 14);
  EXPECT_EQ(Assign(true, false).status(), absl::NotFoundError("nothing"));
  EXPECT_EQ(Assign(false, true).status(), absl::NotFoundError("nothing"));
}

TEST(StatusMacrosTest, AnnotateKeepsCodeAndPayload) {
  absl::Status status = absl::AbortedError("inner");
  status.SetPayload("type", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "outer");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(annotated.message(), "outer: inner");
  EXPECT_EQ(annotated.GetPayload("type").value(), absl::Cord("payload"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "outer").ok());
}

}  // namespace
}  // namespace tessera::base
