#include "cli/why/explanation_text.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::cli {
namespace {

using operators::v1::ExplainAllocationRequest;
using operators::v1::ExplainAllocationResponse;

ExplainAllocationResponse Answer(const std::string& text) {
  ExplainAllocationResponse answer;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &answer));
  return answer;
}

TEST(ExplanationTextTest, SaysWhoHoldsWhatIsMissing) {
  ExplainAllocationRequest request;
  request.set_framework_id("f-1");
  (*request.mutable_needed()->mutable_amounts())["cpus"].set_milli(2500);
  const std::string text = ExplanationText(request, Answer(R"(
    framework_name: "web"
    roles {
      role: "eng"
      agents: 3
      counts { reason: TOO_LITTLE_LEFT agents: 2 }
      counts { reason: AGENT_TOO_SMALL agents: 1 }
      nearest {
        agent_id: "a-3" hostname: "host-3" reason: AGENT_TOO_SMALL
        available { amounts { key: "mem" value { milli: 512000 } }
                    amounts { key: "cpus" value { milli: 1000 } } }
        missing { amounts { key: "cpus" value { milli: 1500 } } }
      }
      holders { framework_id: "f-2" role: "batch" agents: 2
                held { amounts { key: "cpus" value { milli: 8000 } } } }
    }
    offer_holders { framework_id: "f-2" framework_name: "hoarder" offers: 2
                    offered { amounts { key: "cpus" value { milli: 8000 } } } })"));
  EXPECT_NE(text.find("f-1        web   cpus:2.5"), std::string::npos) << text;
  EXPECT_NE(
      text.find("Role eng: none of 3 agents can be offered now, mostly: others hold too much"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("a-3            host-3    agent too small  cpus:1 mem:512  cpus:1.5"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("f-2     batch  2       cpus:8"), std::string::npos) << text;
  EXPECT_NE(text.find("f-2                     hoarder  2       cpus:8"), std::string::npos)
      << text;
}

TEST(ExplanationTextTest, EachReasonHasWordsAndAdvice) {
  using Count = allocator::v1::ExplainAllocationResponse::Count;
  for (int reason = Count::Reason_MIN + 1; reason <= Count::Reason_MAX; ++reason) {
    ExplainAllocationResponse answer;
    auto* role = answer.add_roles();
    role->set_role("eng");
    role->set_agents(1);
    role->add_counts()->set_reason(static_cast<Count::Reason>(reason));
    role->mutable_counts(0)->set_agents(1);
    const std::string text = ExplanationText({}, answer);
    EXPECT_EQ(text.find("unknown"), std::string::npos) << Count::Reason_Name(reason);
  }
}

TEST(ExplanationTextTest, WhatCanBeOfferedComesFirst) {
  const std::string text = ExplanationText({}, Answer(R"(
    roles { role: "*" agents: 4
            counts { reason: FILTERED agents: 3 }
            counts { reason: OFFERABLE agents: 1 } }
    roles { role: "eng" })"));
  EXPECT_NE(text.find("any offer"), std::string::npos) << text;
  EXPECT_NE(text.find("Role *: 1 of 4 agents can be offered now"), std::string::npos) << text;
  EXPECT_NE(text.find("Role eng: the cluster has no agents"), std::string::npos) << text;
}

TEST(ExplanationTextTest, NamesCannotSteerATerminal) {
  const std::string text = ExplanationText({}, Answer(R"(framework_name: "a\033[2Jb")"));
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_NE(text.find("subscribes to no role"), std::string::npos) << text;
}

}  // namespace
}  // namespace tessera::cli
