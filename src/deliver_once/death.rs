//! What an operator needs to recognise a delivery that is given up.

use crate::event::Payload;
use crate::excerpt::one_line;
use crate::ledger::Death;
use crate::verify::Webhook;

pub(super) fn death(webhook: &Webhook, reason: &str) -> Death {
    let death = Death::new(reason)
        .of(webhook.tenant(), webhook.event_for_log())
        .id("webhook", webhook.id_for_log());
    let Ok(payload) = webhook.payload() else {
        return death;
    };
    let ids = match payload {
        Payload::WorkflowStep(step) => vec![
            ("workflow_execution", step.workflow_execution_id.to_string()),
            (
                "workflow_step",
                one_line(&step.workflow_execution_step_id).into_owned(),
            ),
        ],
        Payload::FindingDispatch(dispatch) => vec![
            ("dispatch", one_line(&dispatch.dispatch_id).into_owned()),
            ("finding", one_line(&dispatch.finding_id).into_owned()),
        ],
        payload => payload.task().map_or_else(Vec::new, |task| {
            vec![
                ("task", one_line(task.id.as_str()).into_owned()),
                ("task_number", task.numeric_id.to_string()),
            ]
        }),
    };
    // Those that the payload leaves out are empty or zero.
    let ids = ids
        .into_iter()
        .filter(|(_, id)| !matches!(id.as_str(), "" | "0"));
    ids.fold(death, |death, (name, id)| death.id(name, id))
}
