#include "services/agent/server/recovery_mark.h"

#include <gtest/gtest.h>

namespace tessera::agent {
namespace {

TEST(RecoveryMarkTest, WaitsForThePersistsBeforeTheRecoveryWasOver) {
  int told = 0;
  RecoveryMark mark([&] { ++told; });
  mark.Persisting(1);
  mark.Persisting(2);
  mark.Recovered();
  mark.Durable(1);
  EXPECT_EQ(told, 0);
  mark.Durable(2);
  EXPECT_EQ(told, 1);
}

TEST(RecoveryMarkTest, WhatWasDurableBeforeIsTold) {
  int told = 0;
  RecoveryMark mark([&] { ++told; });
  mark.Persisting(1);
  mark.Durable(1);
  EXPECT_EQ(told, 0);
  mark.Recovered();
  EXPECT_EQ(told, 1);
}

TEST(RecoveryMarkTest, ARecoveryThatFoundNothingIsDurableAtOnce) {
  int told = 0;
  RecoveryMark mark([&] { ++told; });
  mark.Recovered();
  EXPECT_EQ(told, 1);
}

TEST(RecoveryMarkTest, IsToldOnce) {
  int told = 0;
  RecoveryMark mark([&] { ++told; });
  mark.Persisting(1);
  mark.Recovered();
  mark.Durable(1);
  mark.Persisting(2);
  mark.Recovered();
  mark.Durable(2);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace tessera::agent
