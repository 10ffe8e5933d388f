#include "services/rpc/advertised_address.h"

#include <gtest/gtest.h>

namespace tessera::rpc {
namespace {

TEST(AdvertisedAddressTest, WhatTheOperatorSaysWins) {
  EXPECT_EQ(AdvertisedAddress("nat.example:99", "0.0.0.0:5090", "host"), "nat.example:99");
  EXPECT_EQ(AdvertisedAddress("nat.example:99", "10.0.0.1:5090", "host"), "nat.example:99");
}

TEST(AdvertisedAddressTest, AnAddressThatCanBeDialledIsToldAsItIs) {
  EXPECT_EQ(AdvertisedAddress("", "10.0.0.1:5090", "host"), "10.0.0.1:5090");
  EXPECT_EQ(AdvertisedAddress("", "127.0.0.1:40123", "host"), "127.0.0.1:40123");
  EXPECT_EQ(AdvertisedAddress("", "[fe80::1]:5090", "host"), "[fe80::1]:5090");
  EXPECT_EQ(AdvertisedAddress("", "agent.example:5090", "host"), "agent.example:5090");
  EXPECT_EQ(AdvertisedAddress("", "unix:/run/agent.sock", "host"), "unix:/run/agent.sock");
}

TEST(AdvertisedAddressTest, AWildcardIsToldByTheMachinesName) {
  for (const char* host : {"0.0.0.0", "[::]", "::", "*", ""}) {
    EXPECT_EQ(AdvertisedAddress("", std::string(host) + ":5090", "host"), "host:5090") << host;
  }
  EXPECT_EQ(AdvertisedAddress("", "0.0.0.0:5090", "10.1.2.3"), "10.1.2.3:5090");
  EXPECT_EQ(AdvertisedAddress("", "[::]:5090", "fd00::7"), "[fd00::7]:5090");
}

TEST(AdvertisedAddressTest, WithoutANameThereIsNothingBetter) {
  EXPECT_EQ(AdvertisedAddress("", "0.0.0.0:5090", ""), "0.0.0.0:5090");
}

}  // namespace
}  // namespace tessera::rpc
