// Description: what a framework wrote of a task, an executor or itself, as the bytes that it sent,
// shared by all who keep it.
//
// Invariant: the bytes never change; copies of a Description share them. They are a serialised
// message; what is computed on is parsed from them once, at the edge, and kept beside them.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>
#include <utility>

namespace tessera::model {

class Description {
 public:
  // No bytes: a message with nothing set.
  Description() = default;
  explicit Description(std::string bytes)
      : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}

  const std::string& bytes() const {
    static const std::string kNone;
    return bytes_ == nullptr ? kNone : *bytes_;
  }
  size_t size() const { return bytes().size(); }
  bool empty() const { return bytes_ == nullptr; }

  // By content; at once when they share their bytes.
  friend bool operator==(const Description& a, const Description& b) {
    return a.bytes_ == b.bytes_ || a.bytes() == b.bytes();
  }

 private:
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace tessera::model
