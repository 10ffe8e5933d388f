// The name of a container or a pod: a path of names, written with dots.
//
//   db            a pod, or a container that is a pod of its own
//   db.server     a container of the pod db
//   db.server.7   one that belongs to the container db.server, in the same pod
//
// The first name is always the pod's. Where a container belongs is thus told by its id alone, and
// an id in a file name, a record or a message needs no second field. Pods and containers that are
// in none share one space of names.
//
// Plain text with a rule: it converts from and to its text without a word, and may hold any text
// until Validate has been asked. Pure; any thread.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace tessera::agent {

class ContainerId {
 public:
  // The whole text: it is also a file's name, with a little room for endings.
  static constexpr size_t kMaximumBytes = 242;
  // Names in the path.
  static constexpr size_t kMaximumDepth = 8;

  ContainerId() = default;
  ContainerId(std::string text) : text_(std::move(text)) {}  // NOLINT: see above
  ContainerId(const char* text) : text_(text) {}             // NOLINT
  operator const std::string&() const { return text_; }      // NOLINT
  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }

  // INVALID_ARGUMENT naming what is wrong. An id has 1 to kMaximumDepth names of at least a byte,
  // without `/`, space and control characters, in at most kMaximumBytes bytes altogether.
  absl::Status Validate() const;

  // The id without its last name; empty for a path of one.
  ContainerId Parent() const;
  // The first name: the pod that it is in, or is.
  ContainerId Pod() const;
  ContainerId Child(std::string_view name) const;
  bool has_parent() const { return text_.find('.') != std::string::npos; }
  // True when `this` is the parent of `other`, or its parent's, and so on.
  bool IsAncestorOf(const ContainerId& other) const;

  friend bool operator==(const ContainerId& a, const ContainerId& b) { return a.text_ == b.text_; }
  friend bool operator!=(const ContainerId& a, const ContainerId& b) { return a.text_ != b.text_; }
  friend bool operator<(const ContainerId& a, const ContainerId& b) { return a.text_ < b.text_; }
  friend std::ostream& operator<<(std::ostream& out, const ContainerId& id) {
    return out << id.text_;
  }

 private:
  std::string text_;
};

}  // namespace tessera::agent
