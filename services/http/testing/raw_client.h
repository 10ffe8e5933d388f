// An HTTP client for tests, on a raw socket, so that garbage and silence can be sent, too.
//
// Waits for at most 20 seconds for anything. Threads: one.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::http {

struct Reply {
  int status = 0;
  std::string head;
  std::string body;
  // The body has come to its end.
  bool whole = false;
};

class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }
  Client(const Client&) = delete;
  bool connected() const { return connected_; }

  void Send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += n;
    }
  }

  // One response; status 0 when the connection ended before one came.
  Reply Read(bool head_only = false) {
    Reply reply;
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return reply;
    }
    reply.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + 9);
    if (reply.head.find("Transfer-Encoding: chunked\r\n") != std::string::npos) {
      if (!head_only) reply.whole = ReadChunks(&reply.body);
      return reply;
    }
    const size_t at = reply.head.find("Content-Length: ");
    const size_t length =
        at == std::string::npos || head_only ? 0 : std::strtoul(&reply.head[at + 16], nullptr, 10);
    while (buffer_.size() < length && Fill()) {
    }
    reply.whole = buffer_.size() >= length;
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return reply;
  }

  Reply Get(const std::string& target, const std::string& headers = "") {
    Send(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: x\r\n", headers, "\r\n"));
    return Read();
  }

  // Sends no more, but still reads.
  void EndSending() { shutdown(fd_, SHUT_WR); }
  // Ends the connection so that the server sees it at once.
  void Reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd_);
    fd_ = -1;
  }
  // What can be sent without waiting, of `bytes` bytes.
  size_t SendWithoutWaiting(size_t bytes) {
    const std::string piece(64 << 10, 'u');
    size_t sent = 0;
    while (sent < bytes) {
      const ssize_t n = send(fd_, piece.data(), std::min(piece.size(), bytes - sent),
                             MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) break;
      sent += n;
    }
    return sent;
  }
  // One line of a chunked body's text; empty at its end.
  std::string ReadChunk() {
    std::string body;
    size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!Fill()) return body;
    }
    const size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < end + 2 + size + 2) {
      if (!Fill()) return body;
    }
    body = buffer_.substr(end + 2, size);
    buffer_.erase(0, end + 2 + size + 2);
    ended_cleanly_ = size == 0;
    return body;
  }
  // The head of a response only.
  Reply ReadHead() {
    Reply reply;
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return reply;
    }
    reply.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + 9);
    return reply;
  }

  // Up to `bytes` bytes of what comes; how many.
  size_t ReadSome(size_t bytes) {
    if (buffer_.empty() && !Fill()) return 0;
    const size_t taken = std::min(bytes, buffer_.size());
    buffer_.erase(0, taken);
    return taken;
  }
  // All that comes until the server ends the connection.
  std::string ReadToEnd() {
    while (Fill()) {
    }
    return std::exchange(buffer_, std::string());
  }

  // True when the server has ended the connection.
  bool AtEnd() { return buffer_.empty() && !Fill(); }

 private:
  bool ReadChunks(std::string* body) {
    while (true) {
      const size_t before = body->size();
      *body += ReadChunk();
      if (body->size() == before) return ended_cleanly_;
    }
  }
  bool Fill() {
    char bytes[65536];
    const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
    if (n <= 0) return false;
    buffer_.append(bytes, n);
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool ended_cleanly_ = false;
  std::string buffer_;
};

}  // namespace tessera::http
