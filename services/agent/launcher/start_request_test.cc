#include "services/agent/launcher/start_request.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tessera::agent {
namespace {

std::string Body(const wire::Writer& writer) {
  return writer.Frame(wire::FrameType::kStart).substr(sizeof(wire::FrameHeader));
}

wire::Writer Example() {
  wire::Writer writer;
  writer.U32(1);
  writer.U32(static_cast<uint32_t>(wire::OperationKind::kMount));
  writer.U64(14);
  writer.U32(wire::kRefuseSymlinks);
  for (const char* text : {"proc", "/proc", "proc", ""}) writer.Text(text);
  writer.U32(1);
  writer.U32(1000);
  writer.U32(1001);
  writer.U32(2);
  writer.U32(20);
  writer.U32(21);
  writer.Text("/work");
  writer.Text("echo");
  writer.U32(2);
  writer.Text("echo");
  writer.Text("hello world");
  writer.U32(2);
  writer.Text("PATHOLOGY=no");
  writer.Text("PATH=/bin:/usr/bin");
  return writer;
}

TEST(StartRequestTest, ReadsWhatWasWritten) {
  const std::string body = Body(Example());
  StartRequest request;
  ASSERT_TRUE(ParseStartRequest(body.data(), body.size(), &request));
  ASSERT_EQ(request.operation_count, 1u);
  EXPECT_EQ(request.operations[0].kind, wire::OperationKind::kMount);
  EXPECT_EQ(request.operations[0].number, 14u);
  EXPECT_STREQ(request.operations[0].second, "/proc");
  EXPECT_TRUE(request.switch_user);
  EXPECT_EQ(request.uid, 1000u);
  EXPECT_EQ(request.gid, 1001u);
  ASSERT_EQ(request.group_count, 2u);
  EXPECT_EQ(request.groups[1], 21u);
  EXPECT_STREQ(request.working_directory, "/work");
  EXPECT_STREQ(request.program, "echo");
  EXPECT_STREQ(request.arguments[1], "hello world");
  EXPECT_EQ(request.arguments[2], nullptr);
  EXPECT_STREQ(FindVariable(request.environment, "PATH"), "/bin:/usr/bin");
  EXPECT_EQ(FindVariable(request.environment, "HOME"), nullptr);
}

TEST(StartRequestTest, RefusesEveryTruncation) {
  const std::string body = Body(Example());
  for (size_t size = 0; size < body.size(); ++size) {
    const std::string cut = body.substr(0, size);
    StartRequest request;
    EXPECT_FALSE(ParseStartRequest(cut.data(), cut.size(), &request)) << size;
  }
  const std::string longer = body + "x";
  StartRequest request;
  EXPECT_FALSE(ParseStartRequest(longer.data(), longer.size(), &request));
}

TEST(StartRequestTest, RefusesCountsThatCannotBe) {
  for (const uint32_t count : {0xffffffffu, 0x10000000u}) {
    wire::Writer writer;
    writer.U32(count);
    const std::string body = Body(writer);
    StartRequest request;
    EXPECT_FALSE(ParseStartRequest(body.data(), body.size(), &request));
  }
}

TEST(StartRequestTest, RefusesUnknownOperations) {
  std::string body = Body(Example());
  body[4] = 99;
  StartRequest request;
  EXPECT_FALSE(ParseStartRequest(body.data(), body.size(), &request));
}

// What parses must be well formed whatever the bytes were: strings end inside the frame.
TEST(StartRequestTest, FlippedBytesNeverLeaveTheFrame) {
  const std::string good = Body(Example());
  std::mt19937 random(20261123);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string body = good;
    for (int flips = 0; flips < 3; ++flips)
      body[random() % body.size()] = static_cast<char>(random());
    StartRequest request;
    if (!ParseStartRequest(body.data(), body.size(), &request)) continue;
    ++accepted;
    const char* end = body.data() + body.size();
    for (char* const* argument = request.arguments; *argument != nullptr; ++argument) {
      ASSERT_GE(*argument, body.data());
      ASSERT_LT(*argument + strlen(*argument), end);
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(WireReaderTest, TextRefusesAnInnerNul) {
  wire::Writer writer;
  writer.Text("abcd");
  std::string body = Body(writer);
  body[6] = '\0';
  wire::Reader reader(body.data(), body.size());
  EXPECT_STREQ(reader.Text(), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace tessera::agent
