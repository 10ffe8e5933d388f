// A run is a function of its seed in every process: nothing in it hangs on addresses, and thus on
// the order of hash maps, which are others in each process.
#include <gtest/gtest.h>
#include <stdio.h>

#include <string>

namespace {

std::string simulate;

// What `simulate --digests` says of a few seeds, a crowd among them.
std::string Digests(const std::string& flags) {
  const std::string command = simulate + " --digests --twice=0 " + flags + " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string said;
  char buffer[4096];
  while (fgets(buffer, sizeof buffer, pipe) != nullptr) {
    // The last lines tell of real time.
    if (std::string(buffer).find(" seeds, ") != std::string::npos) break;
    said += buffer;
  }
  while (fgets(buffer, sizeof buffer, pipe) != nullptr) {
  }
  EXPECT_EQ(pclose(pipe), 0) << said;
  return said;
}

TEST(DeterminismTest, TwoProcessesDoTheSame) {
  for (const char* flags : {"--first_seed=1 --seeds=6", "--first_seed=50 --seeds=1"}) {
    const std::string once = Digests(flags);
    EXPECT_NE(once, "");
    EXPECT_EQ(Digests(flags), once);
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) simulate = argv[1];
  return RUN_ALL_TESTS();
}
