#include "services/agent/server/operator_calls.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera::agent {
namespace {

TEST(OperatorCallsTest, AnAnswerComesOnceAndToItsOwnCall) {
  OperatorCalls calls(10);
  std::vector<int> answered;
  const uint64_t one = calls.Add([&](absl::Status, const auto&) { answered.push_back(1); });
  const uint64_t two = calls.Add([&](absl::Status status, const auto&) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    answered.push_back(2);
  });
  calls.Answer(two, absl::NotFoundError("no such container"), std::nullopt);
  calls.Answer(two, absl::OkStatus(), std::nullopt);
  calls.Answer(one, absl::OkStatus(), std::nullopt);
  EXPECT_EQ(answered, (std::vector<int>{2, 1}));
}

TEST(OperatorCallsTest, WhatWasRemovedIsNotAnswered) {
  OperatorCalls calls(10);
  const uint64_t call = calls.Add([](absl::Status, const auto&) { FAIL() << "it was removed"; });
  EXPECT_TRUE(calls.Remove(call));
  EXPECT_FALSE(calls.Remove(call));
  calls.Answer(call, absl::OkStatus(), std::nullopt);
}

TEST(OperatorCallsTest, TooManyAreRefusedAndNumbersAreNotUsedAgain) {
  OperatorCalls calls(2);
  const auto ignore = [](absl::Status, const auto&) {};
  const uint64_t first = calls.Add(ignore);
  const uint64_t second = calls.Add(ignore);
  EXPECT_NE(first, 0u);
  EXPECT_EQ(calls.Add(ignore), 0u);
  ASSERT_TRUE(calls.Remove(first));
  const uint64_t third = calls.Add(ignore);
  EXPECT_NE(third, 0u);
  EXPECT_NE(third, first);
  EXPECT_NE(third, second);
}

}  // namespace
}  // namespace tessera::agent
