// The bytes of one response on their way to a client: what waits, how it is framed, what comes
// next.
//
// Invariant: what waits is what was given or yielded and has not been taken yet; more is asked of a
// source only when less than 64 KiB waits.
//
// Threads: none; the connection's strand.
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "services/http/gzip.h"
#include "services/http/http_types.h"
#include "services/http/server_context.h"

namespace tessera::http {

class ResponseWriter {
 public:
  explicit ResponseWriter(std::shared_ptr<ServerContext> context) : context_(std::move(context)) {}
  ~ResponseWriter() { Clear(); }

  // Bytes as they are: heads.
  void AddRaw(std::string bytes) { Add(MakeChunk(std::move(bytes)), /*counted=*/false); }
  // Puts what follows into chunks of HTTP/1.1.
  void SetChunked(bool chunked) { chunked_ = chunked; }
  // A part of the body. `counted`: it waits on this client's account, and is in the server's sum
  // already.
  void AddBody(std::vector<Chunk> chunks, bool counted);
  // What yields the rest of the body; compressed on the way when `gzip` is given.
  void SetSource(std::function<Chunk()> next, std::unique_ptr<GzipStream> gzip);
  // The body is whole. Not before the source, if any, has ended.
  void EndBody();
  // Due when all that was added before is written.
  using Written = std::function<void(const absl::Status&)>;
  void OnWritten(Written written) { marks_.emplace_back(added_, std::move(written)); }

  // The next buffers for one write; empty when nothing waits. Asks the source.
  const std::vector<boost::asio::const_buffer>& Gather();
  // `bytes` of them have been written. Returns what OnWritten is due.
  std::vector<Written> Taken(size_t bytes);
  // What was not due yet, and is not the writer's any more.
  std::vector<Written> TakeMarks();

  bool empty() const { return waiting_.empty() && !source_; }
  bool has_source() const { return source_ != nullptr; }
  // All of the body is added.
  bool whole() const { return whole_; }
  // Forgets everything but marks; nothing is being written.
  void Clear();

 private:
  struct Waiting {
    Chunk chunk;
    bool counted = false;
  };

  void Add(Chunk chunk, bool counted);
  void Refill();

  const std::shared_ptr<ServerContext> context_;
  std::deque<Waiting> waiting_;
  size_t offset_ = 0;  // of the first
  size_t waiting_bytes_ = 0;
  uint64_t added_ = 0;
  uint64_t taken_ = 0;
  std::deque<std::pair<uint64_t, Written>> marks_;
  std::function<Chunk()> source_;
  std::unique_ptr<GzipStream> gzip_;
  bool chunked_ = false;
  bool whole_ = false;
  std::vector<boost::asio::const_buffer> gathered_;
};

}  // namespace tessera::http
