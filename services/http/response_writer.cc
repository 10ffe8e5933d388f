#include "services/http/response_writer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::http {
namespace {

// The kernel takes 1,024 buffers in one writev; asio passes on 64.
constexpr size_t kBuffersMax = 64;
constexpr size_t kBytesMax = 16 << 20;
constexpr size_t kLowWater = 64 << 10;

}  // namespace

void ResponseWriter::Add(Chunk chunk, bool counted) {
  if (chunk->empty()) return;
  waiting_bytes_ += chunk->size();
  added_ += chunk->size();
  waiting_.push_back({std::move(chunk), counted});
}

void ResponseWriter::AddBody(std::vector<Chunk> chunks, bool counted) {
  size_t size = 0;
  for (const Chunk& chunk : chunks) size += chunk->size();
  if (size == 0) return;
  if (chunked_) AddRaw(absl::StrCat(absl::Hex(size), "\r\n"));
  for (Chunk& chunk : chunks) Add(std::move(chunk), counted);
  if (chunked_) AddRaw("\r\n");
}

void ResponseWriter::SetSource(std::function<Chunk()> next, std::unique_ptr<GzipStream> gzip) {
  source_ = std::move(next);
  gzip_ = std::move(gzip);
}

void ResponseWriter::EndBody() {
  if (whole_) return;
  whole_ = true;
  if (chunked_) AddRaw("0\r\n\r\n");
}

void ResponseWriter::Refill() {
  while (source_ && waiting_bytes_ < kLowWater) {
    std::vector<Chunk> pieces;
    const Chunk piece = source_();
    if (piece != nullptr) {
      if (gzip_ == nullptr) {
        pieces.push_back(piece);
      } else {
        gzip_->Add(*piece, &pieces);
      }
    } else {
      source_ = nullptr;
      if (gzip_ != nullptr) gzip_->Finish(&pieces);
      gzip_ = nullptr;
    }
    size_t size = 0;
    for (const Chunk& one : pieces) size += one->size();
    context_->AddWaiting(size);
    AddBody(std::move(pieces), /*counted=*/true);
    if (!source_) EndBody();
  }
}

const std::vector<boost::asio::const_buffer>& ResponseWriter::Gather() {
  Refill();
  gathered_.clear();
  size_t bytes = 0;
  size_t offset = offset_;
  for (const Waiting& waiting : waiting_) {
    if (gathered_.size() == kBuffersMax || bytes >= kBytesMax) break;
    const size_t part = std::min(waiting.chunk->size() - offset, kBytesMax - bytes);
    gathered_.emplace_back(waiting.chunk->data() + offset, part);
    bytes += part;
    offset = 0;
  }
  return gathered_;
}

std::vector<ResponseWriter::Written> ResponseWriter::Taken(size_t bytes) {
  taken_ += bytes;
  waiting_bytes_ -= bytes;
  size_t released = 0;
  while (bytes > 0) {
    Waiting& first = waiting_.front();
    const size_t part = std::min(bytes, first.chunk->size() - offset_);
    bytes -= part;
    offset_ += part;
    if (offset_ < first.chunk->size()) break;
    // All of it at once: the chunk is there until its last byte is written.
    if (first.counted) released += first.chunk->size();
    waiting_.pop_front();
    offset_ = 0;
  }
  if (released > 0) context_->ReleaseWaiting(released);
  std::vector<Written> due;
  while (!marks_.empty() && marks_.front().first <= taken_) {
    due.push_back(std::move(marks_.front().second));
    marks_.pop_front();
  }
  return due;
}

std::vector<ResponseWriter::Written> ResponseWriter::TakeMarks() {
  std::vector<Written> left;
  for (auto& [at, written] : marks_) left.push_back(std::move(written));
  marks_.clear();
  return left;
}

void ResponseWriter::Clear() {
  size_t released = 0;
  for (const Waiting& waiting : waiting_) {
    if (waiting.counted) released += waiting.chunk->size();
  }
  if (released > 0) context_->ReleaseWaiting(released);
  waiting_.clear();
  offset_ = waiting_bytes_ = 0;
  added_ = taken_ = 0;
  source_ = nullptr;
  gzip_ = nullptr;
  chunked_ = whole_ = false;
}

}  // namespace tessera::http
