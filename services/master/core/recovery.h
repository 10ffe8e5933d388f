// A new leader reads the registry page by page, and fills its books from what it read.
//
// Invariant: all pages are of one version; when that version is gone, reading starts over.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/master/core/books.h"
#include "services/master/core/operator_flow.h"
#include "services/master/core/request_ids.h"
#include "services/master/core/session_flow.h"

namespace tessera::master {

class Recovery {
 public:
  Recovery(const MasterConfig* config, RequestIds* ids, base::Rng rng, Outbox* outbox);

  // Asks for the first page, or the next one.
  void Read();
  // True when everything has been read.
  bool OnReadDone(absl::Time now, const ReadDone& event);
  // A failed read is repeated then.
  absl::Time retry_at() const { return retry_at_; }

  // The record of the cell with this leader counted, and the condition that nobody else did so.
  reg::Cell cell() const { return cell_; }
  reg::Condition cell_condition() const;

  // Fills the books. INTERNAL when a record cannot be read: the registry's content is damaged, and
  // nobody should lead on it.
  absl::Status Fill(Books* books, SessionFlow* sessions, OperatorFlow* operators);
  size_t agents_admitted() const { return agents_admitted_; }

 private:
  absl::Status FillMachines(Books& books);
  void FillFramework(Books& books, SessionFlow& sessions, const std::string& id,
                     const reg::FrameworkEntry& entry);
  void FillAgent(Books& books, OperatorFlow& operators, const std::string& id,
                 const reg::AdmittedAgent& record);

  const MasterConfig* config_;
  RequestIds* ids_;
  Outbox* outbox_;
  base::Rng rng_;
  base::Rng retry_rng_;
  base::Backoff retry_;
  RequestId request_;
  std::string page_token_;
  absl::Time retry_at_ = absl::InfiniteFuture();
  std::vector<reg::Record> records_;
  reg::Cell cell_;
  uint64_t cell_version_ = 0;
  size_t agents_admitted_ = 0;
};

}  // namespace tessera::master
