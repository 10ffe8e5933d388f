#include "services/agent/launcher/socket_frames.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tessera::agent::wire {
namespace {

union ControlSpace {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * kMaximumFiles)];
};

void TakeFiles(msghdr* message, int* files, size_t capacity, size_t* count) {
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t received = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < received; ++i) {
      int file;
      memcpy(&file, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      if (*count < capacity) {
        files[(*count)++] = file;
      } else {
        close(file);
      }
    }
  }
}

long ReceiveOnce(int socket, char* bytes, size_t size, int* files, size_t file_capacity,
                 size_t* file_count) {
  ControlSpace control;
  iovec vector{bytes, size};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  TakeFiles(&message, files, file_capacity, file_count);
  return received;
}

}  // namespace

int SendAll(int socket, const char* bytes, size_t size, const int* files, size_t file_count) {
  ControlSpace control{};
  size_t sent = 0;
  while (sent < size) {
    iovec vector{const_cast<char*>(bytes) + sent, size - sent};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (sent == 0 && file_count > 0) {
      if (file_count > kMaximumFiles) return EINVAL;
      message.msg_control = control.bytes;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * file_count);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * file_count);
      memcpy(CMSG_DATA(header), files, sizeof(int) * file_count);
    }
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    sent += static_cast<size_t>(n);
  }
  return 0;
}

int ReceiveExactly(int socket, char* bytes, size_t size, int* files, size_t file_capacity,
                   size_t* file_count) {
  size_t have = 0;
  *file_count = 0;
  while (have < size) {
    const long n = ReceiveOnce(socket, bytes + have, size - have, files, file_capacity, file_count);
    if (n < 0) return static_cast<int>(-n);
    if (n == 0) return EPIPE;
    have += static_cast<size_t>(n);
  }
  return 0;
}

long ReceivePacket(int socket, char* bytes, size_t capacity, int* files, size_t file_capacity,
                   size_t* file_count) {
  *file_count = 0;
  return ReceiveOnce(socket, bytes, capacity, files, file_capacity, file_count);
}

}  // namespace tessera::agent::wire
