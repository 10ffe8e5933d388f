// What every LogStore promises. A suite is instantiated with a factory of fresh places:
//
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogStoreConformance, MemoryPlace);
//
// A Place makes a store on the same bytes again and again: `store()` opens, `Reopen()` is a new
// process on the same disk.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "services/agent/checkpoint/log_store.h"

namespace tessera::agent {

template <typename Place>
class LogStoreConformance : public ::testing::Test {
 protected:
  // What is there, without the space ahead.
  std::string Bytes() {
    auto bytes = place_.store().Read();
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    if (!bytes.ok()) return "(unreadable)";
    bytes->resize(bytes->find_last_not_of('\0') + 1);
    return *bytes;
  }
  // Writes at the end.
  absl::Status Append(std::string_view bytes) {
    return place_.store().Write(Bytes().size(), bytes);
  }
  Place place_;
};

TYPED_TEST_SUITE_P(LogStoreConformance);

TYPED_TEST_P(LogStoreConformance, BeginsEmpty) { EXPECT_EQ(this->Bytes(), ""); }

TYPED_TEST_P(LogStoreConformance, SyncedBytesSurvive) {
  ASSERT_TRUE(this->Append("one").ok());
  ASSERT_TRUE(this->Append(std::string("\0two", 4)).ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), std::string("one\0two", 7));
}

TYPED_TEST_P(LogStoreConformance, TruncateCutsAndAppendGoesOnThere) {
  ASSERT_TRUE(this->Append("keep-cut").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  ASSERT_TRUE(this->place_.store().Truncate(4).ok());
  ASSERT_TRUE(this->Append("!").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "keep!");
}

TYPED_TEST_P(LogStoreConformance, ReplaceIsWholeAndDurableAndAppendGoesOnThere) {
  ASSERT_TRUE(this->Append("old").ok());
  ASSERT_TRUE(this->place_.store().Replace("new").ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "new");
  ASSERT_TRUE(this->Append("+").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  ASSERT_TRUE(this->place_.store().Replace("newer").ok());
  ASSERT_TRUE(this->Append("+").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "newer+");
}

TYPED_TEST_P(LogStoreConformance, WhatATruncateTookAwayNeverComesBack) {
  ASSERT_TRUE(this->Append("keep-a-long-torn-tail").ok());
  ASSERT_TRUE(this->place_.store().Truncate(4).ok());
  ASSERT_TRUE(this->place_.store().Write(4, "+").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "keep+");
}

TYPED_TEST_P(LogStoreConformance, SpaceAheadIsZeros) {
  ASSERT_TRUE(this->Append("one").ok());
  ASSERT_TRUE(this->place_.store().KeepSpace(3).ok());
  EXPECT_EQ(this->Bytes(), "one");
  ASSERT_TRUE(this->Append("two").ok());
  ASSERT_TRUE(this->place_.store().Sync().ok());
  ASSERT_TRUE(this->place_.store().KeepSpace(6).ok());
  this->place_.Reopen();
  EXPECT_EQ(this->Bytes(), "onetwo");
  // The file that was replaced comes back as the space of a later one, and shows nothing of itself.
  for (const char* whole : {"a long first replacement", "second", "the third", "4"}) {
    ASSERT_TRUE(this->place_.store().Replace(whole).ok());
    ASSERT_TRUE(this->place_.store().KeepSpace(9).ok());
    EXPECT_EQ(this->Bytes(), whole);
    this->place_.Reopen();
    EXPECT_EQ(this->Bytes(), whole);
  }
}

REGISTER_TYPED_TEST_SUITE_P(LogStoreConformance, BeginsEmpty, SyncedBytesSurvive,
                            TruncateCutsAndAppendGoesOnThere,
                            ReplaceIsWholeAndDurableAndAppendGoesOnThere,
                            WhatATruncateTookAwayNeverComesBack, SpaceAheadIsZeros);

}  // namespace tessera::agent
