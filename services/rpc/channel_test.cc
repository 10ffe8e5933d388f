// Channels against a peer of the test's own, on loopback.

#include "services/rpc/channel.h"

#include <arpa/inet.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tessera::rpc {
namespace {

// A busy machine, or one far away: it answers, but four times as late as the first back-off.
TEST(ChannelTest, ConnectsToASlowPeerAtTheFirstAttempt) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);

  // Shut down from outside, which ends accept().
  std::vector<int> accepted;
  std::thread peer([listener, &accepted] {
    for (int one = accept(listener, nullptr, nullptr); one >= 0;
         one = accept(listener, nullptr, nullptr)) {
      accepted.push_back(one);
      absl::SleepFor(absl::Milliseconds(400));
      // The SETTINGS frame that begins HTTP/2, without any.
      const std::string settings("\0\0\0\x04\0\0\0\0\0", 9);
      if (send(one, settings.data(), settings.size(), MSG_NOSIGNAL) < 0) continue;
    }
  });
  const std::string target = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  ChannelOptions options;
  options.own_connection = true;
  const auto channel = MakeChannel(target, options);
  EXPECT_TRUE(WaitForConnected(*channel, target, absl::Seconds(20)).ok());
  shutdown(listener, SHUT_RDWR);
  peer.join();
  EXPECT_EQ(accepted.size(), 1u);
  for (const int one : accepted) close(one);
  close(listener);
}

}  // namespace
}  // namespace tessera::rpc
