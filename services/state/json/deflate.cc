#include "services/state/json/deflate.h"

#include <zlib.h>

namespace tessera::state {
namespace {

// Level 1 costs a third of zlib's default for JSON, and is a tenth larger.
constexpr int kLevel = 1;
constexpr int kRawDeflate = -15;

void Deflate(const Rendering& part) {
  const std::string& text = part.text;
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kRawDeflate, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return;
  }
  std::string bytes(deflateBound(&stream, text.size()) + 16, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = bytes.size();
  const int result = deflate(&stream, Z_SYNC_FLUSH);
  const bool whole = result == Z_OK && stream.avail_in == 0 && stream.avail_out > 0;
  bytes.resize(bytes.size() - stream.avail_out);
  deflateEnd(&stream);
  if (!whole) return;
  bytes.shrink_to_fit();
  part.crc32 = crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size());
  part.deflated = std::make_shared<const std::string>(std::move(bytes));
}

void AppendLittleEndian(uint32_t value, std::string* bytes) {
  for (int i = 0; i < 4; ++i) bytes->push_back(static_cast<char>(value >> (8 * i)));
}

}  // namespace

std::vector<Chunk> JoinAsGzip(const std::vector<RenderingPtr>& parts) {
  static const auto* const header =
      new Chunk(std::make_shared<const std::string>("\x1f\x8b\x08\0\0\0\0\0\x04\xff", 10));
  std::vector<Chunk> chunks;
  chunks.reserve(parts.size() + 2);
  chunks.push_back(*header);
  uLong crc = crc32(0, nullptr, 0);
  uint64_t size = 0;
  for (const RenderingPtr& part : parts) {
    std::call_once(part->deflate_once, [&part] { Deflate(*part); });
    if (part->deflated == nullptr) return {};
    chunks.push_back(part->deflated);
    crc = crc32_combine(crc, part->crc32, part->text.size());
    size += part->text.size();
  }
  // An empty last block, then checksum and size of all.
  std::string end("\x03\x00", 2);
  AppendLittleEndian(static_cast<uint32_t>(crc), &end);
  AppendLittleEndian(static_cast<uint32_t>(size), &end);
  chunks.push_back(std::make_shared<const std::string>(std::move(end)));
  return chunks;
}

}  // namespace tessera::state
