#include "services/http/server_context.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "services/http/asio_byte_stream.h"

namespace tessera::http {
namespace {

// Intervals only: a clock that never goes back.
absl::Time Now() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

class Plain final : public Transport {
 public:
  std::function<void()> Accept(boost::asio::ip::tcp::socket socket, Ready ready) override {
    ready(std::make_unique<AsioByteStream<boost::asio::ip::tcp::socket>>(std::move(socket)), {});
    return [] {};
  }
};

HttpOptions WithTransport(HttpOptions options) {
  if (options.transport == nullptr) options.transport = PlainTransport();
  return options;
}

}  // namespace

std::shared_ptr<Transport> PlainTransport() { return std::make_shared<Plain>(); }

ServerContext::ServerContext(HttpOptions options, Router router, uint64_t seed)
    : plain_(options.transport == nullptr),
      options_(WithTransport(std::move(options))),
      router_(std::move(router)),
      request_ids_(seed),
      table_(
          {.connections_max = static_cast<size_t>(std::max(1, options_.connections_max)),
           .per_peer_max = static_cast<size_t>(std::max(1, options_.connections_per_peer_max))}) {}

void ServerContext::CloseLocked(ConnectionTable::Id id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  if (auto connection = found->second.lock()) connection->CloseSoon();
  open_.erase(found);
}

std::optional<ConnectionTable::Id> ServerContext::Admit(const std::string& peer_host) {
  absl::MutexLock lock(&mu_);
  if (stopped_) return std::nullopt;
  const ConnectionTable::Id id = ++last_id_;
  const ConnectionTable::Admission admission = table_.Admit(id, peer_host, Now());
  if (admission.evicted.has_value()) {
    connections_evicted.fetch_add(1);
    CloseLocked(*admission.evicted);
  }
  if (!admission.admitted) return std::nullopt;
  return id;
}

bool ServerContext::Register(ConnectionTable::Id id, std::weak_ptr<OpenConnection> connection) {
  absl::MutexLock lock(&mu_);
  if (stopped_) return false;
  open_[id] = std::move(connection);
  return true;
}

void ServerContext::Waits(ConnectionTable::Id id) {
  absl::MutexLock lock(&mu_);
  table_.Waits(id, Now());
}
void ServerContext::Works(ConnectionTable::Id id) {
  absl::MutexLock lock(&mu_);
  table_.Works(id);
}
void ServerContext::Writes(ConnectionTable::Id id) {
  absl::MutexLock lock(&mu_);
  table_.Writes(id, Now());
}
void ServerContext::Remove(ConnectionTable::Id id) {
  absl::MutexLock lock(&mu_);
  table_.Remove(id);
  open_.erase(id);
}

bool ServerContext::EvictOne() {
  absl::MutexLock lock(&mu_);
  const auto victim = table_.Yielding(Now());
  if (!victim.has_value()) return false;
  connections_evicted.fetch_add(1);
  table_.Remove(*victim);
  CloseLocked(*victim);
  return true;
}

std::vector<std::weak_ptr<OpenConnection>> ServerContext::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  std::vector<std::weak_ptr<OpenConnection>> all;
  for (auto& [id, connection] : open_) all.push_back(std::move(connection));
  open_.clear();
  return all;
}

bool ServerContext::TakeWaiting(size_t bytes) {
  const size_t most = options_.body_bytes_waiting_max;
  if (bytes_waiting.fetch_add(bytes) + bytes <= most) return true;
  {
    absl::MutexLock lock(&mu_);
    if (const auto stalled = table_.Stalled(Now())) {
      readers_cut.fetch_add(1);
      table_.Remove(*stalled);
      CloseLocked(*stalled);
    }
  }
  // Its bytes come back when it has closed: the next answer finds the room.
  bytes_waiting.fetch_sub(bytes);
  return false;
}

uint64_t ServerContext::connections_open() const {
  absl::MutexLock lock(&mu_);
  return table_.size();
}

}  // namespace tessera::http
