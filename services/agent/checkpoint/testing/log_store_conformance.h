// What every LogStore promises. A suite is instantiated with a factory of fresh places:
//
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogStoreConformance, MemoryPlace);
//
// A Place makes a store on the same bytes again and again: `store()` opens, `Reopen()` is a new
// process on the same disk.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "services/agent/checkpoint/log_store.h"

namespace tessera::agent {

template <typename Place>
class LogStoreConformance : public ::testing::Test {
 protected:
  std::string Bytes() {
    auto bytes = place_.store().Read();
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return bytes.ok() ? *bytes : "(unreadable)";
  }
  Place place_;
};

TYPED_TEST_SUITE_P(LogStoreConformance);

TYPED_TEST_P(LogStoreConformance, BeginsEmpty) { EXPECT_EQ(this->Bytes(), ""); }

TYPED_TEST_P(LogStoreConformance, SyncedBytesSurvive) {
  ASSERT_TRUE(this->place_.store().Append("one").ok());
  ASSERT_TRUE(this->place_.store().Append(std::string("\0two", 4)).ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), std::string("one\0two", 7));
}

TYPED_TEST_P(LogStoreConformance, TruncateCutsAndAppendGoesOnThere) {
  ASSERT_TRUE(this->place_.store().Append("keep-cut").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  ASSERT_TRUE(this->place_.store().Truncate(4).ok());
  ASSERT_TRUE(this->place_.store().Append("!").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "keep!");
}

TYPED_TEST_P(LogStoreConformance, ReplaceIsWholeAndDurableAndAppendGoesOnThere) {
  ASSERT_TRUE(this->place_.store().Append("old").ok());
  ASSERT_TRUE(this->place_.store().Replace("new").ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "new");
  ASSERT_TRUE(this->place_.store().Append("+").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  ASSERT_TRUE(this->place_.store().Replace("newer").ok());
  ASSERT_TRUE(this->place_.store().Append("+").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "newer+");
}

REGISTER_TYPED_TEST_SUITE_P(LogStoreConformance, BeginsEmpty, SyncedBytesSurvive,
                            TruncateCutsAndAppendGoesOnThere,
                            ReplaceIsWholeAndDurableAndAppendGoesOnThere);

}  // namespace tessera::agent
