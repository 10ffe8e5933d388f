// Every key of the published page: there, of its type, in its place.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "services/feed/core/state_table.h"
#include "services/feed/wire/codec.h"
#include "services/state/json/state_renderer.h"

namespace tessera::state {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kString[] = "string";
constexpr char kDouble[] = "double";
constexpr char kInteger[] = "integer";
constexpr char kBool[] = "bool";
constexpr char kObject[] = "object";
constexpr char kArray[] = "array";

std::string TypeOf(const Json& value) {
  if (value.is_string()) return kString;
  if (value.is_number_float()) return kDouble;
  if (value.is_number_integer()) return kInteger;
  if (value.is_boolean()) return kBool;
  if (value.is_object()) return kObject;
  if (value.is_array()) return kArray;
  return "null";
}

using Shape = std::vector<std::pair<std::string, std::string>>;

// Each key that the page lists is there, of its type, in the page's order, and nothing else is.
void ExpectShape(const Json& object, const Shape& expected) {
  ASSERT_TRUE(object.is_object());
  Shape shape;
  for (const auto& [key, value] : object.items()) shape.emplace_back(key, TypeOf(value));
  EXPECT_EQ(shape, expected) << object.dump();
}

void AddScalar(const char* name, int64_t milli, const std::string& role,
               google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  auto* resource = resources->Add();
  resource->set_name(name);
  resource->mutable_scalar()->set_milli(milli);
  if (!role.empty()) resource->set_allocation_role(role);
}

void AddPorts(uint64_t begin, uint64_t end, const std::string& role,
              google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  auto* resource = resources->Add();
  resource->set_name("ports");
  if (!role.empty()) resource->set_allocation_role(role);
  auto* range = resource->mutable_ranges()->add_range();
  range->set_begin(begin);
  range->set_end(end);
}

void AddLabel(const char* key, const char* value, pb::Labels* labels) {
  auto* label = labels->add_label();
  label->set_key(key);
  if (value != nullptr) label->set_value(value);
}

// A cluster that has something for every key.
class PageShapeTest : public testing::Test {
 protected:
  PageShapeTest() : renderer_(PublicAddress{"state.example", 5064}) {
    table_.Reset(4);
    AddCluster();
    AddAgents();
    AddFrameworks();
    AddTasks();
    v1::Change offer;
    auto* record = offer.mutable_offer_set()->mutable_offer();
    record->set_id("o1");
    record->set_framework_id("f1");
    record->set_agent_id("a1");
    record->set_role("eng");
    AddScalar("cpus", 1500, "eng", record->mutable_resources());
    AddPorts(31000, 31005, "eng", record->mutable_resources());
    Apply(offer);
    v1::Change executor;
    auto* lives = executor.mutable_executor_set()->mutable_executor();
    lives->set_framework_id("f1");
    lives->set_agent_id("a1");
    lives->set_executor_id("e1");
    lives->mutable_incarnation()->set_epoch(4);
    lives->mutable_incarnation()->set_number(9);
    AddScalar("cpus", 100, "eng", lives->mutable_resources());
    auto* info = lives->mutable_info();
    info->set_id("e1");
    info->set_name("executor one");
    info->set_type(pb::ExecutorInfo::CUSTOM);
    info->mutable_command()->set_shell(true);
    info->mutable_command()->set_value("./run");
    auto* variable = info->mutable_command()->add_environment();
    variable->set_name("A");
    variable->set_value("B");
    info->mutable_command()->add_uris()->set_value("http://x/y");
    AddLabel("tier", "one", info->mutable_labels());
    Apply(executor);
    v1::Change role;
    role.mutable_role_set()->mutable_role()->set_name("eng");
    role.mutable_role_set()->mutable_role()->set_weight_milli(2500);
    (*role.mutable_role_set()->mutable_role()->mutable_guarantees()->mutable_amounts())["cpus"]
        .set_milli(4000);
    Apply(role);
    EXPECT_EQ(table_.ignored(), 0u);
  }

  void Apply(const v1::Change& change) { table_.Apply(feed::FromPublic(change).value()); }

  void AddCluster() {
    v1::Change change;
    auto* cluster = change.mutable_cluster_set()->mutable_cluster();
    cluster->set_master_id("master-1");
    cluster->set_cluster_name("prod");
    cluster->set_hostname("m.example");
    cluster->set_address("10.0.0.1:5050");
    cluster->set_version("0.1.0");
    cluster->set_start_time(1700000000.25);
    cluster->set_elected_time(1700000001);
    cluster->set_build_date("2024-01-01");
    cluster->set_build_time(1690000000);
    cluster->set_build_user("builder");
    (*cluster->mutable_flags())["log_dir"] = "/var/log/tessera";
    (*cluster->mutable_flags())["cluster"] = "prod";
    cluster->add_capabilities("AGENT_UPDATE");
    cluster->mutable_domain()->set_region("eu");
    cluster->mutable_domain()->set_zone("eu-1");
    Apply(change);
  }

  void AddAgents() {
    v1::Change change;
    auto* agent = change.mutable_agent_set()->mutable_agent();
    agent->mutable_info()->set_id("a1");
    agent->mutable_info()->set_hostname("h1.example");
    agent->mutable_info()->set_address("10.0.0.2:5051");
    agent->mutable_info()->set_http_address("10.0.0.2:5061");
    agent->mutable_info()->set_version("0.1.0");
    agent->mutable_info()->add_capabilities(pb::AgentInfo::RESERVATION_REFINEMENT);
    auto* rack = agent->mutable_info()->add_attributes();
    rack->set_name("rack");
    rack->set_text("r1");
    auto* cores = agent->mutable_info()->add_attributes();
    cores->set_name("cores");
    cores->mutable_scalar()->set_milli(16000);
    auto* vlans = agent->mutable_info()->add_attributes();
    vlans->set_name("vlans");
    vlans->mutable_ranges()->add_range()->set_begin(1);
    vlans->mutable_ranges()->mutable_range(0)->set_end(4);
    agent->mutable_info()->mutable_domain()->set_region("eu");
    agent->mutable_info()->mutable_domain()->set_zone("eu-2");
    AddScalar("cpus", 6000, "", agent->mutable_total_resources());
    AddScalar("cpus", 2000, "", agent->mutable_total_resources());
    auto* reservation = agent->mutable_total_resources(1)->add_reservations();
    reservation->set_type(pb::Resource::Reservation::STATIC);
    reservation->set_role("eng");
    AddScalar("mem", 4096000, "", agent->mutable_total_resources());
    AddScalar("cpus", 1000, "", agent->mutable_total_resources());
    agent->mutable_total_resources(3)->set_revocable(true);
    AddPorts(31000, 31999, "", agent->mutable_total_resources());
    auto* zones = agent->mutable_total_resources()->Add();
    zones->set_name("zones");
    zones->mutable_set()->add_item("a");
    zones->mutable_set()->add_item("b");
    agent->set_state(pb::AGENT_STATE_CONNECTED);
    agent->set_active(true);
    agent->mutable_registered_time()->set_seconds(1700000100);
    agent->mutable_registered_time()->set_nanos(500000000);
    agent->mutable_reregistered_time()->set_seconds(1700000200);
    agent->mutable_drain()->set_state(pb::DRAIN_STATE_DRAINING);
    agent->mutable_drain()->mutable_config()->set_mark_gone(true);
    agent->mutable_drain()->mutable_start_time()->set_seconds(1700000300);
    Apply(change);
    for (const auto& [id, state] :
         {std::pair("a2", pb::AGENT_STATE_RECOVERED), std::pair("a3", pb::AGENT_STATE_UNREACHABLE),
          std::pair("a4", pb::AGENT_STATE_DISCONNECTED)}) {
      v1::Change other;
      auto* agent = other.mutable_agent_set()->mutable_agent();
      agent->mutable_info()->set_id(id);
      agent->mutable_info()->set_hostname("h.example");
      agent->mutable_info()->set_http_address("10.0.0.9:5061");
      agent->mutable_info()->mutable_domain()->set_region("eu");
      agent->set_state(state);
      Apply(other);
    }
  }

  void AddFrameworks() {
    for (const bool completed : {false, true}) {
      v1::Change change;
      auto* framework = change.mutable_framework_set()->mutable_framework();
      auto* info = framework->mutable_info();
      info->set_id(completed ? "f2" : "f1");
      info->set_name("batch");
      info->set_user("ann");
      info->set_principal("ann@example");
      info->add_roles("eng");
      info->add_roles("ops");
      info->mutable_failover_timeout()->set_seconds(60);
      info->set_checkpoint(true);
      info->set_hostname("sched.example");
      info->set_webui_url("http://sched.example");
      info->add_capabilities(pb::FrameworkInfo::PARTITION_AWARE);
      info->add_capabilities(pb::FrameworkInfo::RESERVATION_REFINEMENT);
      AddLabel("team", "search", info->mutable_labels());
      framework->set_state(completed ? pb::FRAMEWORK_STATE_COMPLETED : pb::FRAMEWORK_STATE_ACTIVE);
      framework->mutable_registered_time()->set_seconds(1700000400);
      framework->mutable_reregistered_time()->set_seconds(1700000500);
      if (completed) framework->mutable_unregistered_time()->set_seconds(1700000600);
      Apply(change);
    }
  }

  void AddTask(const std::string& framework, const std::string& id, pb::TaskState state,
               v1::TaskPlace place) {
    v1::Change change;
    change.mutable_task_set()->set_place(place);
    auto* task = change.mutable_task_set()->mutable_task();
    task->set_framework_id(framework);
    task->set_state(state);
    auto* info = task->mutable_info();
    info->set_id(id);
    info->set_name("name of " + id);
    task->mutable_incarnation()->set_epoch(4);
    task->mutable_incarnation()->set_number(++launches_);
    task->set_agent_id("a1");
    AddScalar("cpus", 500, "eng", task->mutable_resources());
    AddScalar("mem", 64000, "eng", task->mutable_resources());
    // What the framework wrote of resources is not what counts.
    AddScalar("cpus", 9000, "", info->mutable_resources());
    if (id == "t1") {
      info->mutable_command()->set_user("bob");
      AddLabel("k", "v", info->mutable_labels());
      AddLabel("bare", nullptr, info->mutable_labels());
      (*info->mutable_limits())["cpus"].set_milli(-1);
      (*info->mutable_limits())["mem"].set_milli(128000);
      info->mutable_discovery()->set_visibility("CLUSTER");
      info->mutable_discovery()->set_name("web");
      info->mutable_discovery()->add_ports()->set_number(80);
      info->mutable_container()->set_hostname("c1");
      info->mutable_container()->mutable_image()->set_type(pb::Image::DOCKER);
      info->mutable_container()->mutable_image()->set_reference("alpine");
      info->mutable_container()->add_volumes()->set_host_path("/data");
      info->mutable_health_check()->mutable_tcp()->set_port(80);
      for (const auto reached : {pb::TASK_STARTING, pb::TASK_RUNNING}) {
        auto* status = task->add_statuses();
        status->set_state(reached);
        status->mutable_timestamp()->set_seconds(1700001000 + reached);
        status->set_healthy(true);
        AddLabel("s", "t", status->mutable_labels());
        status->mutable_container_status()->set_container_id("c-1");
        status->mutable_container_status()->add_networks()->add_ip_addresses("10.1.2.3");
      }
    }
    Apply(change);
  }

  void AddTasks() {
    AddTask("f1", "t1", pb::TASK_RUNNING, v1::TASK_PLACE_ACTIVE);
    AddTask("f1", "t2", pb::TASK_UNREACHABLE, v1::TASK_PLACE_UNREACHABLE);
    AddTask("f1", "t3", pb::TASK_FINISHED, v1::TASK_PLACE_COMPLETED);
    AddTask("f2", "t4", pb::TASK_KILLED, v1::TASK_PLACE_COMPLETED);
  }

  Json State() { return Json::parse(renderer_.State(*table_.Publish()).ToString()); }

  uint64_t launches_ = 0;
  feed::StateTable table_;
  StateRenderer renderer_;
};

TEST_F(PageShapeTest, StateHasTheKeysOfThePage) {
  const Json state = State();
  ExpectShape(state, {{"version", kString},
                      {"build_date", kString},
                      {"build_user", kString},
                      {"build_time", kDouble},
                      {"start_time", kDouble},
                      {"elected_time", kDouble},
                      {"id", kString},
                      {"pid", kString},
                      {"hostname", kString},
                      {"capabilities", kArray},
                      {"activated_slaves", kDouble},
                      {"deactivated_slaves", kDouble},
                      {"unreachable_slaves", kDouble},
                      {"domain", kObject},
                      {"leader", kString},
                      {"leader_info", kObject},
                      {"cluster", kString},
                      {"log_dir", kString},
                      {"flags", kObject},
                      {"slaves", kArray},
                      {"recovered_slaves", kArray},
                      {"frameworks", kArray},
                      {"completed_frameworks", kArray},
                      {"orphan_tasks", kArray},
                      {"unregistered_frameworks", kArray}});
  ExpectShape(state["leader_info"], {{"id", kString},
                                     {"pid", kString},
                                     {"port", kInteger},
                                     {"hostname", kString},
                                     {"domain", kObject}});
  EXPECT_EQ(state["pid"], "master@10.0.0.1:5050");
  EXPECT_EQ(state["leader_info"]["hostname"], "state.example");
  EXPECT_EQ(state["leader_info"]["port"], 5064);
  EXPECT_EQ(state["start_time"], 1700000000.25);
  EXPECT_EQ(state["activated_slaves"], 1.0);
  EXPECT_EQ(state["deactivated_slaves"], 1.0);
  EXPECT_EQ(state["unreachable_slaves"], 1.0);
  EXPECT_EQ(state["domain"].dump(),
            R"({"fault_domain":{"region":{"name":"eu"},"zone":{"name":"eu-1"}}})");
  EXPECT_EQ(state["slaves"].size(), 2u);
  ASSERT_EQ(state["recovered_slaves"].size(), 1u);
  ExpectShape(state["recovered_slaves"][0], {{"id", kString},
                                             {"hostname", kString},
                                             {"port", kInteger},
                                             {"attributes", kObject},
                                             {"domain", kObject}});
  EXPECT_EQ(state["frameworks"].size(), 1u);
  EXPECT_EQ(state["completed_frameworks"].size(), 1u);
  EXPECT_TRUE(state["orphan_tasks"].empty());
}

TEST_F(PageShapeTest, AgentsHaveTheKeysOfThePage) {
  const Json agent = State()["slaves"][0];
  ExpectShape(agent, {{"id", kString},
                      {"hostname", kString},
                      {"port", kInteger},
                      {"attributes", kObject},
                      {"domain", kObject},
                      {"pid", kString},
                      {"registered_time", kDouble},
                      {"reregistered_time", kDouble},
                      {"resources", kObject},
                      {"used_resources", kObject},
                      {"offered_resources", kObject},
                      {"reserved_resources", kObject},
                      {"unreserved_resources", kObject},
                      {"active", kBool},
                      {"version", kString},
                      {"capabilities", kArray},
                      {"deactivated", kBool},
                      {"drain_info", kObject},
                      {"estimated_drain_start_time_seconds", kDouble}});
  EXPECT_EQ(agent["port"], 5061);
  EXPECT_EQ(agent["pid"], "slave(1)@10.0.0.2:5061");
  EXPECT_EQ(agent["registered_time"], 1700000100.5);
  EXPECT_EQ(agent["attributes"].dump(), R"({"rack":"r1","cores":16.0,"vlans":"[1-4]"})");
  EXPECT_EQ(agent["resources"].dump(),
            R"({"cpus":8.0,"gpus":0.0,"mem":4096.0,"disk":0.0,"ports":"[31000-31999]",)"
            R"("zones":"{a, b}","cpus_revocable":1.0})");
  // t1 and the executor.
  EXPECT_EQ(agent["used_resources"].dump(), R"({"cpus":0.6,"gpus":0.0,"mem":64.0,"disk":0.0})");
  EXPECT_EQ(agent["offered_resources"].dump(),
            R"({"cpus":1.5,"gpus":0.0,"mem":0.0,"disk":0.0,"ports":"[31000-31005]"})");
  EXPECT_EQ(agent["reserved_resources"].dump(),
            R"({"eng":{"cpus":2.0,"gpus":0.0,"mem":0.0,"disk":0.0}})");
  EXPECT_EQ(agent["unreserved_resources"]["cpus"], 6.0);
  EXPECT_EQ(agent["capabilities"].dump(),
            R"(["MULTI_ROLE","HIERARCHICAL_ROLE","RESERVATION_REFINEMENT"])");
  EXPECT_EQ(agent["drain_info"].dump(), R"({"state":"DRAINING","config":{"mark_gone":true}})");
  // What is optional is absent where there is nothing.
  const Json other = State()["slaves"][1];
  for (const char* key : {"reregistered_time", "drain_info"}) EXPECT_FALSE(other.contains(key));
}

TEST_F(PageShapeTest, FrameworksHaveTheKeysOfThePage) {
  const Json state = State();
  const Shape shape = {{"id", kString},
                       {"name", kString},
                       {"used_resources", kObject},
                       {"offered_resources", kObject},
                       {"capabilities", kArray},
                       {"hostname", kString},
                       {"webui_url", kString},
                       {"active", kBool},
                       {"connected", kBool},
                       {"recovered", kBool},
                       {"user", kString},
                       {"failover_timeout", kDouble},
                       {"checkpoint", kBool},
                       {"registered_time", kDouble},
                       {"unregistered_time", kDouble},
                       {"principal", kString},
                       {"resources", kObject},
                       {"reregistered_time", kDouble},
                       {"roles", kArray},
                       {"tasks", kArray},
                       {"unreachable_tasks", kArray},
                       {"completed_tasks", kArray},
                       {"offers", kArray},
                       {"executors", kArray},
                       {"labels", kArray}};
  const Json& framework = state["frameworks"][0];
  ExpectShape(framework, shape);
  ExpectShape(state["completed_frameworks"][0], shape);
  EXPECT_EQ(framework["unregistered_time"], 0.0);
  EXPECT_EQ(state["completed_frameworks"][0]["unregistered_time"], 1700000600.0);
  EXPECT_EQ(framework["roles"].dump(), R"(["eng","ops"])");
  EXPECT_EQ(framework["capabilities"].dump(),
            R"(["PARTITION_AWARE","MULTI_ROLE","RESERVATION_REFINEMENT"])");
  // resources = used + offered.
  EXPECT_EQ(framework["used_resources"]["cpus"], 0.6);
  EXPECT_EQ(framework["offered_resources"]["cpus"], 1.5);
  EXPECT_EQ(framework["resources"]["cpus"], 2.1);
  ExpectShape(framework["offers"][0], {{"id", kString},
                                       {"framework_id", kString},
                                       {"allocation_info", kObject},
                                       {"slave_id", kString},
                                       {"resources", kObject}});
  const Json& executor = framework["executors"][0];
  ExpectShape(executor, {{"executor_id", kString},
                         {"name", kString},
                         {"framework_id", kString},
                         {"command", kObject},
                         {"resources", kObject},
                         {"role", kString},
                         {"labels", kArray},
                         {"type", kString},
                         {"slave_id", kString}});
  EXPECT_EQ(executor["command"].dump(),
            R"({"shell":true,"value":"./run","argv":[],"environment":{"variables":[)"
            R"({"name":"A","type":"VALUE","value":"B"}]},)"
            R"("uris":[{"value":"http://x/y","executable":false}]})");
  EXPECT_EQ(framework["labels"].dump(), R"([{"key":"team","value":"search"}])");
}

TEST_F(PageShapeTest, TasksHaveTheKeysOfThePage) {
  const Json framework = State()["frameworks"][0];
  const Json& task = framework["tasks"][0];
  ExpectShape(task, {{"id", kString},
                     {"name", kString},
                     {"framework_id", kString},
                     {"executor_id", kString},
                     {"slave_id", kString},
                     {"state", kString},
                     {"resources", kObject},
                     {"limits", kObject},
                     {"role", kString},
                     {"statuses", kArray},
                     {"user", kString},
                     {"labels", kArray},
                     {"discovery", kObject},
                     {"container", kObject},
                     {"health_check", kObject}});
  EXPECT_EQ(task["state"], "TASK_RUNNING");
  EXPECT_EQ(task["role"], "eng");
  EXPECT_EQ(task["executor_id"], "");
  EXPECT_EQ(task["limits"].dump(), R"({"cpus":"Infinity","mem":128.0})");
  EXPECT_EQ(task["labels"].dump(), R"([{"key":"k","value":"v"},{"key":"bare"}])");
  ASSERT_EQ(task["statuses"].size(), 2u);
  ExpectShape(task["statuses"][1], {{"state", kString},
                                    {"timestamp", kDouble},
                                    {"labels", kArray},
                                    {"container_status", kObject},
                                    {"healthy", kBool}});
  EXPECT_EQ(task["statuses"][1]["container_status"].dump(),
            R"({"container_id":{"value":"c-1"},"network_infos":[{"ip_addresses":[)"
            R"({"protocol":"IPv4","ip_address":"10.1.2.3"}]}]})");
  EXPECT_EQ(task["discovery"].dump(),
            R"({"visibility":"CLUSTER","name":"web","ports":{"ports":[{"number":80}]}})");
  EXPECT_EQ(task["container"].dump(),
            R"({"type":"MESOS","volumes":[{"mode":"RW","container_path":"","host_path":"/data"}],)"
            R"("hostname":"c1","mesos":{"image":{"type":"DOCKER","docker":{"name":"alpine"},)"
            R"("cached":false}}})");
  EXPECT_EQ(framework["unreachable_tasks"][0]["id"], "t2");
  EXPECT_EQ(framework["completed_tasks"][0]["id"], "t3");
  // A task without anything optional.
  ExpectShape(framework["completed_tasks"][0], {{"id", kString},
                                                {"name", kString},
                                                {"framework_id", kString},
                                                {"executor_id", kString},
                                                {"slave_id", kString},
                                                {"state", kString},
                                                {"resources", kObject},
                                                {"role", kString},
                                                {"statuses", kArray}});
}

TEST_F(PageShapeTest, OtherEndpoints) {
  const SnapshotPtr snapshot = table_.Publish();
  const auto parse = [](const JsonBody& body) { return Json::parse(body.ToString()); };
  const Json slaves = parse(renderer_.Slaves(*snapshot, "a1"));
  ExpectShape(slaves, {{"slaves", kArray}, {"recovered_slaves", kArray}});
  const Json& agent = slaves["slaves"][0];
  for (const char* key :
       {"unreserved_resources_full", "used_resources_full", "offered_resources_full"}) {
    EXPECT_TRUE(agent[key].is_array()) << key;
  }
  const Json& reserved = agent["reserved_resources_full"]["eng"][0];
  EXPECT_EQ(reserved["name"], "cpus");
  EXPECT_EQ(reserved["scalar"]["value"], 2.0);
  EXPECT_EQ(reserved["role"], "eng");
  EXPECT_EQ(reserved["reservations"][0]["type"], "STATIC");
  EXPECT_TRUE(parse(renderer_.Slaves(*snapshot, "nobody"))["slaves"].empty());

  const Json summary = parse(renderer_.Summary(*snapshot));
  ExpectShape(
      summary,
      {{"hostname", kString}, {"cluster", kString}, {"slaves", kArray}, {"frameworks", kArray}});
  EXPECT_EQ(summary["slaves"][0]["TASK_RUNNING"], 1);
  EXPECT_EQ(summary["slaves"][0]["TASK_KILLED"], 0);  // of a completed framework
  EXPECT_EQ(summary["slaves"][0]["framework_ids"].dump(), R"(["f1"])");
  EXPECT_EQ(summary["frameworks"][0]["TASK_FINISHED"], 1);
  EXPECT_EQ(summary["frameworks"][0]["slave_ids"].dump(), R"(["a1"])");
  EXPECT_FALSE(summary["frameworks"][0].contains("user"));

  const Json roles = parse(renderer_.Roles(*snapshot))["roles"];
  ASSERT_EQ(roles.size(), 2u);
  ExpectShape(roles[0], {{"frameworks", kArray},
                         {"name", kString},
                         {"quota", kObject},
                         {"resources", kObject},
                         {"weight", kDouble}});
  EXPECT_EQ(roles[0]["weight"], 2.5);
  EXPECT_EQ(roles[0]["frameworks"].dump(), R"(["f1"])");
  EXPECT_EQ(roles[0]["resources"].dump(),
            R"({"cpus":2.1,"disk":0,"gpus":0,"mem":64.0,"ports":"[31000-31005]"})");
  EXPECT_EQ(roles[0]["quota"]["guarantee"]["cpus"], 4.0);
  EXPECT_EQ(roles[1]["weight"], 1.0);
  EXPECT_FALSE(roles[1].contains("quota"));

  const Json frameworks = parse(renderer_.Frameworks(*snapshot, "f2"));
  EXPECT_TRUE(frameworks["frameworks"].empty());
  EXPECT_EQ(frameworks["completed_frameworks"].size(), 1u);
  EXPECT_TRUE(frameworks["unregistered_frameworks"].empty());
  EXPECT_EQ(parse(renderer_.Flags(*snapshot))["flags"]["cluster"], "prod");
  EXPECT_TRUE(parse(renderer_.Version(*snapshot))["version"].is_string());
}

TEST_F(PageShapeTest, TasksAreSortedLimitedAndFound) {
  for (int i = 0; i < 150; ++i) {
    v1::Change change;
    change.mutable_task_set()->set_place(v1::TASK_PLACE_ACTIVE);
    auto* task = change.mutable_task_set()->mutable_task();
    task->set_framework_id("f1");
    task->mutable_info()->set_id("s" + std::to_string(1000 + i));
    task->mutable_incarnation()->set_epoch(4);
    task->mutable_incarnation()->set_number(100 + i);
    task->mutable_info()->set_name(std::string(600, 'n'));
    auto* status = task->add_statuses();
    status->set_state(pb::TASK_RUNNING);
    status->mutable_timestamp()->set_seconds(2000000000 + i / 10);
    Apply(change);
  }
  const SnapshotPtr snapshot = table_.Publish();
  const auto ids = [&](const StateRenderer::TaskQuery& query) {
    std::vector<std::string> ids;
    std::string text;
    const std::function<Chunk()> pieces = renderer_.TaskPieces(snapshot, query);
    size_t count = 0;
    for (Chunk piece = pieces(); piece != nullptr; piece = pieces(), ++count) {
      EXPECT_LT(piece->size(), size_t{128} << 10);
      text += *piece;
    }
    EXPECT_EQ(pieces(), nullptr);
    if (query.limit < 0 && query.offset == 0) {
      EXPECT_GT(count, 1u);
    }
    const Json answer = Json::parse(text);
    for (const Json& task : answer["tasks"]) {
      ids.push_back(task["id"]);
    }
    return ids;
  };
  const auto newest = ids({});
  ASSERT_EQ(newest.size(), 100u);
  EXPECT_EQ(newest.front(), "s1140");
  const auto next = ids({.offset = 100});
  EXPECT_EQ(next.size(), 54u);
  EXPECT_EQ(ids({.limit = -1}).size(), 154u);
  EXPECT_EQ(ids({.limit = -1, .offset = 150}).size(), 4u);
  EXPECT_EQ(ids({.limit = -1, .offset = 1000}).size(), 0u);
  // Those without a status come first when ascending, last when descending.
  EXPECT_EQ(ids({.limit = 3, .ascending = true}), (std::vector<std::string>{"t2", "t3", "t4"}));
  EXPECT_EQ(next.back(), "t4");
  EXPECT_EQ(ids({.task_id = "t4"}), std::vector<std::string>{"t4"});
  EXPECT_TRUE(ids({.framework_id = "f1", .task_id = "t4"}).empty());
}

}  // namespace
}  // namespace tessera::state
