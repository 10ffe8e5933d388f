// Compresses chunks into one gzip stream.
#pragma once

#include <memory>
#include <vector>

#include "services/http/http_types.h"

namespace tessera::http {

// One gzip stream in the making, in chunks of at most 64 KiB. About 256 KiB of memory.
class GzipStream {
 public:
  GzipStream();
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  // False when zlib could not get memory: then nothing may be added.
  bool ok() const;
  // Appends to `out` what is ready of it; the rest stays until there is more, or Finish.
  void Add(const std::string& bytes, std::vector<Chunk>* out);
  void Finish(std::vector<Chunk>* out);

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// The chunks' bytes, in their order, as one gzip stream. Empty when zlib cannot get memory.
std::vector<Chunk> Gzip(const std::vector<Chunk>& chunks);

}  // namespace tessera::http
