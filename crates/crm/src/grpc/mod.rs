//! Requests in.

mod acting;
mod campaigning;
mod enrolling;
mod registering;
mod setting;
mod suppressing;
mod telling;

use std::sync::Arc;

use bus::outbox::Waker;
use chassis::guard::{Authorized, Guard, status};
use jiff::Timestamp;
use model::{Clock, OrganizationId, PartnerId, Scope};
use proto::{
    crm::{self as wire, crm_server::Crm},
    identity::User,
};
use sqlx::PgPool;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::{error::Refusal, store::people::Person, text};

/// Rows of one page where the request does not say.
const USUAL_LIMIT: u32 = 50;
/// The most rows of one page.
const LARGEST_LIMIT: u32 = 200;

/// The gRPC service `accord.crm.v1.Crm`.
#[derive(Clone)]
pub struct Service {
    pub(crate) pool: PgPool,
    pub(crate) guard: Guard,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
    /// What an opt-out link begins with.
    pub(crate) opt_out: Arc<str>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Who asks.
struct Asker {
    organization: OrganizationId,
    actor: String,
    /// The partner whose key it is, or to whose form it is the link.
    partner: Option<PartnerId>,
    /// Whether it is the link to the partner's form.
    by_form: bool,
}

impl Service {
    async fn asker(&self, metadata: &MetadataMap, scope: Scope) -> Result<Asker, Status> {
        Ok(asker(self.guard.authorize(metadata, scope).await?))
    }

    /// Who has the scope, or the key of a partner, or the link to its form.
    async fn asker_or_partner(&self, metadata: &MetadataMap, scope: Scope) -> Result<Asker, Status> {
        let known = self.guard.authenticate(metadata).await?;
        let is_partner = known.partner().or_else(|| known.form_of()).is_some();
        Ok(asker(if is_partner { known } else { known.require(scope)? }))
    }

    /// Who has the link to a partner's form, and that partner.
    async fn asker_by_form(&self, metadata: &MetadataMap) -> Result<(Asker, PartnerId), Status> {
        let known = self.guard.authenticate(metadata).await?;
        let partner = known.form_of().ok_or_else(|| {
            status(Code::PermissionDenied, "form_link_needed", "This is no link to a partner's form.")
        })?;
        Ok((asker(known), partner))
    }

    /// The people of the organization, for a caller who may see them. The room keeps what they are called and may do.
    async fn people(&self, metadata: &MetadataMap, asker: &Asker) -> Result<Vec<Person>, Status> {
        let person = |user: User| {
            let person = user.id.parse().ok()?;
            Some(Person { person, name: user.name, email: user.email, role: user.role })
        };
        let people: Vec<Person> = self.guard.users(metadata).await?.into_iter().filter_map(person).collect();
        self.know(asker, &people).await?;
        Ok(people)
    }

    fn now(&self) -> Timestamp {
        text::micros(self.clock.now())
    }
}

fn asker(known: Authorized) -> Asker {
    let (partner, form) = (known.partner(), known.form_of());
    let Authorized { caller, .. } = known;
    Asker {
        organization: caller.organization,
        actor: caller.actor.to_string(),
        partner: partner.or(form),
        by_form: form.is_some(),
    }
}

/// How many rows a page has.
fn limit(asked: u32) -> Result<usize, Refusal> {
    let limit = match asked {
        0 => USUAL_LIMIT,
        1..=LARGEST_LIMIT => asked,
        _ => {
            let message = format!("limit is from 1 to {LARGEST_LIMIT}.");
            return Err(Refusal::invalid("limit", "limit_invalid", message));
        }
    };
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A page that the last answer did not name.
fn no_such_page() -> Refusal {
    Refusal::invalid("page", "page_invalid", "page is not the next page of an answer.")
}

/// Serves each call by the method of the same name, which gets the caller and the message, and where it is about people
/// those of the organization. Those that are open get the message alone.
macro_rules! serve {
    (guarded { $($method:ident($request:ident) -> $response:ident needs $scope:ident;)* }
     with_people { $($personal:ident($personal_request:ident) -> $personal_response:ident;)* }
     or_partner { $($own:ident($own_request:ident) -> $own_response:ident needs $own_scope:ident;)* }
     open { $($open:ident($open_request:ident) -> $open_response:ident;)* }) => {
        #[tonic::async_trait]
        impl Crm for Service {
            $(async fn $method(
                &self,
                request: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                let asker = self.asker(request.metadata(), Scope::$scope).await?;
                Ok(Response::new(self.$method(&asker, request.into_inner()).await?))
            })*
            $(async fn $personal(
                &self,
                request: Request<wire::$personal_request>,
            ) -> Result<Response<wire::$personal_response>, Status> {
                let asker = self.asker(request.metadata(), Scope::UsersManage).await?;
                let people = self.people(request.metadata(), &asker).await?;
                Ok(Response::new(self.$personal(&asker, &people, request.into_inner()).await?))
            })*
            $(async fn $own(
                &self,
                request: Request<wire::$own_request>,
            ) -> Result<Response<wire::$own_response>, Status> {
                let asker = self.asker_or_partner(request.metadata(), Scope::$own_scope).await?;
                Ok(Response::new(self.$own(&asker, request.into_inner()).await?))
            })*
            async fn get_deal_form(
                &self,
                request: Request<wire::GetDealFormRequest>,
            ) -> Result<Response<wire::DealForm>, Status> {
                let (asker, partner) = self.asker_by_form(request.metadata()).await?;
                Ok(Response::new(self.deal_form(&asker, partner).await?))
            }
            $(async fn $open(
                &self,
                request: Request<wire::$open_request>,
            ) -> Result<Response<wire::$open_response>, Status> {
                Ok(Response::new(self.$open(request.into_inner()).await?))
            })*
        }
    };
}

serve! {
    guarded {
    review_deal_registration(DealRegistrationRequest) -> DealRegistration needs PartnersWrite;
    approve_deal_registration(ApproveDealRegistrationRequest) -> DealRegistration needs PartnersWrite;
    reject_deal_registration(RejectDealRegistrationRequest) -> DealRegistration needs PartnersWrite;
    record_activities(RecordActivitiesRequest) -> RecordActivitiesResponse needs RecordsWrite;
    get_timeline(GetTimelineRequest) -> GetTimelineResponse needs RecordsRead;
    get_activity(ActivityRequest) -> ActivityText needs RecordsRead;
    get_settings(GetSettingsRequest) -> Settings needs PartnersRead;
    set_settings(Settings) -> Settings needs PartnersWrite;
    list_notification_rules(ListNotificationRulesRequest) -> ListNotificationRulesResponse needs PartnersRead;
    set_notification_rules(SetNotificationRulesRequest) -> ListNotificationRulesResponse needs PartnersWrite;
    remove_vendor_user(VendorUserRequest) -> RemoveVendorUserResponse needs UsersManage;
    create_campaign(CampaignDraft) -> Campaign needs RecordsWrite;
    update_campaign(UpdateCampaignRequest) -> Campaign needs RecordsWrite;
    get_campaign(CampaignRequest) -> Campaign needs RecordsRead;
    list_campaigns(ListCampaignsRequest) -> ListCampaignsResponse needs RecordsRead;
    start_campaign(StartCampaignRequest) -> Campaign needs RecordsWrite;
    withdraw_campaign(CampaignRequest) -> Campaign needs RecordsWrite;
    pause_campaign(CampaignRequest) -> Campaign needs RecordsWrite;
    resume_campaign(CampaignRequest) -> Campaign needs RecordsWrite;
    enrol_recipients(EnrolRecipientsRequest) -> EnrolRecipientsResponse needs RecordsWrite;
    list_recipients(ListRecipientsRequest) -> ListRecipientsResponse needs RecordsRead;
    stop_recipient(RecipientRequest) -> Recipient needs RecordsWrite;
    preview_campaign(PreviewCampaignRequest) -> PreviewCampaignResponse needs RecordsRead;
    list_mailboxes(ListMailboxesRequest) -> ListMailboxesResponse needs RecordsRead;
    set_mailbox(SetMailboxRequest) -> Mailbox needs RecordsWrite;
    list_suppressions(ListSuppressionsRequest) -> ListSuppressionsResponse needs RecordsRead;
    add_suppressions(AddSuppressionsRequest) -> AddSuppressionsResponse needs RecordsWrite;
    remove_suppression(RemoveSuppressionRequest) -> RemoveSuppressionResponse needs RecordsWrite;
    }
    with_people {
    list_vendor_users(ListVendorUsersRequest) -> ListVendorUsersResponse;
    confirm_vendor_user(ConfirmVendorUserRequest) -> VendorUser;
    }
    or_partner {
    submit_deal_registration(SubmitDealRegistrationRequest) -> DealRegistration needs RecordsWrite;
    get_deal_registration(DealRegistrationRequest) -> DealRegistration needs PartnersRead;
    list_deal_registrations(ListDealRegistrationsRequest) -> ListDealRegistrationsResponse needs PartnersRead;
    }
    open {
    opt_out(OptOutRequest) -> OptOutResponse;
    }
}
