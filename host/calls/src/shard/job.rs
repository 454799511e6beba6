//! One event on its way through the guest, outside the shard.

use super::Shard;
use super::actor::{CallRef, Phase, Queued};
use crate::contract::{Context, Event};
use crate::logic::{Breakdown, Logic};
use crate::record::Record;
use crate::stage::{Answers, Committed, LogLine, Setting, Stage};
use crate::tenant::Tenant;
use plugboard_sip::time::Time;
use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

/// An event ready to be handled. It holds all that the guest may see, so it runs without the shard.
pub struct Job {
    subject: Box<Subject>,
    stage: Stage,
}

/// An event that was handled, well or not; for [`Shard::finish`].
pub struct Finished {
    pub(super) subject: Box<Subject>,
    pub(super) outcome: Result<Committed, Breakdown>,
    log: Vec<LogLine>,
    answers: Answers,
}

/// What a job is about, the same from its beginning to its commit. Boxed: it goes from hand to hand.
pub(super) struct Subject {
    pub call: CallRef,
    /// The state from before, lent to the job.
    pub state: Option<Vec<u8>>,
    pub queued: Queued,
    /// The phase of the call when the job began.
    pub begun: Phase,
    tenant: Arc<Tenant>,
    logic: Arc<dyn Logic>,
    context: Context,
    /// Counts the events of the call.
    number: u64,
    /// What the stage was made with.
    setting: Arc<Setting>,
}

impl Job {
    /// Runs the event through the call's logic. Takes as long as the guest takes, within its deadline.
    pub fn run(self) -> Finished {
        let Self { subject, stage } = self;
        let Subject { logic, context, state, queued, tenant, .. } = &*subject;
        let (mut stage, outcome) = logic.handle(context, state.as_deref(), &queued.event, stage);
        let (log, answers) = (stage.take_log(), stage.take_answers());
        stage.take_met().into_iter().for_each(|limit| tenant.counters.limits.reached(limit));
        let finished = Finished { outcome: stage.seal(outcome), subject, log, answers };
        finished.subject.logic.observed(&finished);
        finished
    }

    /// The call that it belongs to.
    pub fn call(&self) -> CallRef {
        self.subject.call
    }

    /// The tenant whose guest will run.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.subject.tenant
    }
}

impl Finished {
    /// The call that it belongs to.
    pub fn call(&self) -> CallRef {
        self.subject.call
    }

    /// The tenant whose guest ran.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.subject.tenant
    }

    /// What the guest was told.
    pub fn context(&self) -> &Context {
        &self.subject.context
    }

    /// The event that was handled.
    pub fn event(&self) -> &Event {
        &self.subject.queued.event
    }

    /// Why nothing of it happens, if it broke down.
    pub fn breakdown(&self) -> Option<&Breakdown> {
        self.outcome.as_ref().err()
    }

    /// The state that the call had before, and has again if nothing of the event happens.
    pub fn state_before(&self) -> Option<&[u8]> {
        self.subject.state.as_deref()
    }

    /// All that is needed to run the event again, and what came of it.
    pub fn record(&self) -> Record<'_> {
        let Subject { tenant, logic, context, state, queued, number, setting, .. } = &*self.subject;
        Record {
            tenant: tenant.clone(),
            limits: setting.limits.clone(),
            settings: setting.settings.clone(),
            version: logic.version_id(),
            number: *number,
            begins: state.is_none(),
            context: Cow::Borrowed(context),
            call_id_host: setting.call_id_host.clone(),
            agent: setting.agent.clone(),
            view: Cow::Borrowed(&setting.view),
            event: queued.event.clone(),
            answers: Cow::Borrowed(&self.answers),
            outcome: self.outcome.as_ref().map(Cow::Borrowed).map_err(Cow::Borrowed),
        }
    }

    /// What the guest wrote to its log.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        mem::take(&mut self.log)
    }
}

impl Shard {
    /// The next event of a call, if one is due and none is running. Whoever takes the job must [`Job::run`] it, give
    /// it back with [`Shard::finish`], do what came out, and then ask again with [`Shard::proceed`].
    pub fn begin(&mut self, now: Time, call: CallRef) -> Option<Job> {
        let seed = self.chance.next_u64();
        let actor = self.actors.get_mut(&call)?;
        if actor.running || actor.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let queued = actor.queue.pop_front()?;
        let ended_by_host = match actor.phase {
            Phase::EndedByHost { reason, .. } => Some(reason),
            _ => None,
        };
        actor.running = true;
        actor.last_event = now;
        actor.begun += 1;
        let context = Context {
            key: actor.key.clone(),
            domain: actor.tenant.domain.clone(),
            now_unix_ms: now.as_millis(),
            principal: queued.principal.clone(),
            seed,
            ended_by_host,
        };
        let settings = actor.tenant.settings();
        let setting = Arc::new(Setting {
            view: actor.view(&queued.event),
            limits: settings.limits.clone(),
            now,
            seed,
            principal: queued.principal.clone(),
            agent: actor.agent.clone(),
            call_id_host: self.call_id_host.clone(),
            directory: settings.directory.clone(),
            cache: actor.tenant.cache.clone(),
            settings: actor.logic.settings(),
        });
        let subject = Box::new(Subject {
            call,
            state: actor.state.take(),
            queued,
            begun: actor.phase,
            tenant: actor.tenant.clone(),
            logic: actor.logic.clone(),
            context,
            number: actor.begun,
            setting: setting.clone(),
        });
        Some(Job { subject, stage: Stage::new(setting) })
    }

    /// After the outputs of a finished job are on their way: the call's next job, if one waits. Until this is called
    /// no other thread gets an event of the call, so what its events send leaves in their order.
    pub fn proceed(&mut self, now: Time, call: CallRef) -> Option<Job> {
        if let Some(actor) = self.actors.get_mut(&call) {
            actor.running = false;
        }
        let job = self.begin(now, call);
        if job.is_none() {
            self.reschedule(now, call);
        }
        job
    }
}
