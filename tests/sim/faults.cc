#include "tests/sim/faults.h"

namespace tessera::sim {

const char* NameOf(Bite bite) {
  switch (bite) {
    case Bite::kAgentPersists:
      return "crash_when_agent_persists";
    case Bite::kAgentLaunches:
      return "crash_when_agent_launches";
    case Bite::kAgentReports:
      return "crash_when_agent_reports_a_status";
    case Bite::kAgentListsInventory:
      return "crash_when_agent_lists_its_inventory";
    case Bite::kMasterLaunches:
      return "crash_when_master_launches";
    case Bite::kMasterCommits:
      return "crash_when_master_commits";
    case Bite::kMasterAcknowledges:
      return "crash_when_master_passes_an_acknowledgement";
    case Bite::kMasterAnswersAccept:
      return "crash_when_master_answers_an_accept";
    case Bite::kRegistryPersists:
      return "crash_when_registry_persists";
    case Bite::kRegistryAnswersCommit:
      return "crash_when_registry_answers_a_commit";
    case Bite::kFrameworkAccepts:
      return "crash_when_framework_accepts";
    case Bite::kFrameworkAcknowledges:
      return "crash_when_framework_acknowledges";
    case Bite::kAgentCrashWithUnsynced:
      return "agent_crashes_with_unsynced";
    case Bite::kAgentLogTorn:
      return "agent_logs_torn";
    case Bite::kRegistryCrashWithUnsynced:
      return "registry_crashes_with_unsynced";
    case Bite::kCommitWithoutAnswerSurvived:
      return "commits_without_answer_that_survived";
    case Bite::kCommitWithoutAnswerLost:
      return "commits_without_answer_that_were_lost";
    case Bite::kSyncStalled:
      return "syncs_stalled";
    case Bite::kRedialWithUnsyncedTasks:
      return "redials_with_unsynced_tasks";
    case Bite::kTaskWithoutLogSpace:
      return "tasks_without_log_space";
    case Bite::kWireBroken:
      return "wires_broken";
    case Bite::kWireSilent:
      return "wires_silent";
    case Bite::kPartition:
      return "partitions";
    case Bite::kOneWayPartition:
      return "partitions_one_way";
    case Bite::kWordsOutlivedProcess:
      return "words_that_outlived_their_process";
    case Bite::kLateDelivery:
      return "messages_delivered_late";
    case Bite::kCallWithoutAnswer:
      return "calls_without_answer";
    case Bite::kStatusTwice:
      return "statuses_sent_twice";
    case Bite::kCrash:
      return "crashes";
    case Bite::kOrderlyStop:
      return "orderly_stops";
    case Bite::kClockJumped:
      return "clocks_jumped";
    case Bite::kReboot:
      return "reboots_with_containers";
    case Bite::kAgentReinstalled:
      return "agents_reinstalled";
    case Bite::kTwoAgentsOneAddress:
      return "two_agents_one_address";
    case Bite::kIdReusedAtOnce:
      return "ids_reused_at_once";
    case Bite::kGroupLaunched:
      return "groups_launched";
    case Bite::kExecutorNameReused:
      return "executor_names_reused";
    case Bite::kExecutorRefused:
      return "executors_refused";
    case Bite::kOperatorKill:
      return "operator_kills";
    case Bite::kAgentDrained:
      return "agents_drained";
    case Bite::kAgentDeactivated:
      return "agents_deactivated";
    case Bite::kAgentMarkedGone:
      return "agents_marked_gone";
    case Bite::kMaintenance:
      return "maintenances";
    case Bite::kQuotaChanged:
      return "quotas_changed";
    case Bite::kCount:
      break;
  }
  return "?";
}

}  // namespace tessera::sim
