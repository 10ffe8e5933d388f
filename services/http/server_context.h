// What all connections of a server share: options, routes, counters, the table of connections and
// the io_context that they run on.
//
// It lives as long as anything that may still want to run on it: handles of handlers keep their
// connection, and the connection keeps this.
//
// Threads: any.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/auth/request_id.h"
#include "services/http/connection_table.h"
#include "services/http/http_options.h"
#include "services/http/router.h"
#include "services/http/transport.h"

namespace tessera::http {

// A connection, as the server sees it.
class OpenConnection {
 public:
  virtual ~OpenConnection() = default;
  // Closes it soon, whatever it does. Any thread.
  virtual void CloseSoon() = 0;
};

class ServerContext {
 public:
  ServerContext(HttpOptions options, Router router, uint64_t seed);

  boost::asio::io_context& io() { return io_; }
  const HttpOptions& options() const { return options_; }
  const Router& router() const { return router_; }
  Transport& transport() { return *options_.transport; }
  // Without a transport of its own.
  bool plain() const { return plain_; }
  auth::RequestIds& request_ids() { return request_ids_; }

  // The id of a new connection that may be served, after closing one that gives way to it; none
  // when there is no place.
  std::optional<ConnectionTable::Id> Admit(const std::string& peer_host);
  // `connection` is what CloseSoon reaches under `id`. False when it has lost its place already.
  bool Register(ConnectionTable::Id id, std::weak_ptr<OpenConnection> connection);
  void Waits(ConnectionTable::Id id);
  void Works(ConnectionTable::Id id);
  void Writes(ConnectionTable::Id id);
  void Remove(ConnectionTable::Id id);
  // Closes the connection that has waited longest. False when there is none.
  bool EvictOne();
  // Every connection that is open, to be closed; none is admitted from now on.
  std::vector<std::weak_ptr<OpenConnection>> Stop();

  // Counts bytes that will wait to be written. False when they would be too many: then a client
  // that stands still is being closed, if there is one, so that others find room.
  bool TakeWaiting(size_t bytes);
  void AddWaiting(size_t bytes) { bytes_waiting.fetch_add(bytes); }
  void ReleaseWaiting(size_t bytes) { bytes_waiting.fetch_sub(bytes); }

  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> connections_refused{0};
  std::atomic<uint64_t> connections_evicted{0};
  std::atomic<uint64_t> readers_cut{0};
  std::atomic<uint64_t> answers_refused{0};
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> bytes_waiting{0};
  uint64_t connections_open() const;

 private:
  void CloseLocked(ConnectionTable::Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // First, so that it goes last.
  boost::asio::io_context io_;
  const bool plain_;
  const HttpOptions options_;
  const Router router_;
  auth::RequestIds request_ids_;
  mutable absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  ConnectionTable::Id last_id_ ABSL_GUARDED_BY(mu_) = 0;
  ConnectionTable table_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<ConnectionTable::Id, std::weak_ptr<OpenConnection>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::http
