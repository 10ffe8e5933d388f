// For tests of RegistryCore: feeds one and plays its store.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "services/registry/core/registry_core.h"

namespace tessera::registry {

inline constexpr absl::Duration kTtl = absl::Seconds(10);

// Feeds a core and plays its store: what is persisted stays in `disk` over Restart().
class RegistryCoreTest : public testing::Test {
 protected:
  void SetUp() override { Restart(); }

  void Restart() {
    effects_.clear();
    core_ = std::make_unique<RegistryCore>(config_, disk_, now_);
  }

  Effects& Step(Event event) {
    effects_.clear();
    core_->Step(now_, event, &effects_);
    return effects_;
  }

  // The effects of one kind of the last step.
  template <typename T>
  std::vector<T> All() const {
    std::vector<T> found;
    for (const Effect& effect : effects_) {
      if (const T* one = std::get_if<T>(&effect)) found.push_back(*one);
    }
    return found;
  }
  template <typename T>
  T One() const {
    const std::vector<T> found = All<T>();
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? T{} : found.front();
  }

  // Writes the batch of the last step's Persist to the disk and says so.
  Effects& Sync() {
    const Persist persist = One<Persist>();
    std::map<std::string, Record> records;
    for (const Record& record : disk_.records) records[record.key] = record;
    for (const auto& commit : persist.batch.commits) {
      EXPECT_EQ(commit->version, disk_.version + 1);
      disk_.version = commit->version;
      for (const Write& write : commit->writes) {
        records.erase(write.key);
        if (write.value != nullptr) {
          records[write.key] = {write.key, write.value, commit->version};
        }
      }
    }
    disk_.records.clear();
    for (const auto& [key, record] : records) disk_.records.push_back(record);
    if (persist.batch.lease != nullptr) disk_.lease = *persist.batch.lease;
    return Step(Persisted{persist.id});
  }

  static CommitRequested Put(CallId call, std::string key, std::string value, Epoch epoch = 0) {
    return {
        .call = call, .epoch = epoch, .writes = {{std::move(key), MakeValue(std::move(value))}}};
  }
  static CampaignRequested Run(StreamId stream, std::string id) {
    return {.stream = stream, .candidate_id = id, .address = id + ":1"};
  }

  // Lets a candidate campaign and win the free lease.
  Epoch Win(StreamId stream, const std::string& id) {
    Step(Run(stream, id));
    Sync();
    for (const CampaignSend& send : All<CampaignSend>()) {
      if (send.stream == stream && send.won_for.has_value()) return send.leader->epoch;
    }
    ADD_FAILURE() << id << " has not won";
    return 0;
  }

  RegistryConfig config_{.lease_ttl = kTtl};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  StoreContents disk_;
  std::unique_ptr<RegistryCore> core_;
  Effects effects_;
};

}  // namespace tessera::registry
