#include "services/http/gzip.h"

#include <zlib.h>

#include <string>

namespace tessera::http {
namespace {

constexpr size_t kPiece = 64 << 10;
// Level 1 costs a third of zlib's default for JSON, and is a tenth larger.
constexpr int kLevel = 1;
constexpr int kGzipWindow = 15 + 16;

}  // namespace

std::vector<Chunk> Gzip(const std::vector<Chunk>& chunks) {
  std::vector<Chunk> compressed;
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return compressed;
  }
  std::string piece(kPiece, '\0');
  const auto restart = [&] {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
  };
  const auto keep = [&] {
    const size_t used = piece.size() - stream.avail_out;
    if (used > 0) compressed.push_back(MakeChunk(piece.substr(0, used)));
    restart();
  };
  restart();
  for (const Chunk& chunk : chunks) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk->data()));
    stream.avail_in = chunk->size();
    while (stream.avail_in > 0) {
      deflate(&stream, Z_NO_FLUSH);
      if (stream.avail_out == 0) keep();
    }
  }
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    result = deflate(&stream, Z_FINISH);
    if (stream.avail_out == 0 || result == Z_STREAM_END) keep();
  }
  deflateEnd(&stream);
  return compressed;
}

}  // namespace tessera::http
