use model::{Role, Scope};
use proto::identity::{
    InviteUserRequest, ListUsersRequest, RemoveUserRequest, SetRoleRequest, SignInWithLinkRequest,
};
use tonic::{Code, Status};

use crate::house::{House, Person, house, refused};

async fn set_role(by: &Person, user_id: &str, role: &str) -> Result<String, Status> {
    let request = SetRoleRequest { user_id: user_id.to_owned(), role: role.to_owned() };
    Ok(by.client.clone().set_role(by.ask(request)).await?.into_inner().role)
}

async fn invite(by: &Person, email: &str, role: &str) -> Result<String, Status> {
    let request = InviteUserRequest { email: email.into(), name: "Sam".into(), role: role.into() };
    Ok(by.client.clone().invite_user(by.ask(request)).await?.into_inner().link_token)
}

fn id_of(house: &House, role: Role) -> String {
    house.northwind.users.iter().find(|user| user.role == role).unwrap().user.to_string()
}

#[tokio::test]
async fn the_last_owner_stays_an_owner() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    let answer = set_role(&owner, &owner.id(), "admin").await;
    assert_eq!(refused(answer), (Code::FailedPrecondition, "last_owner".to_owned()));
    set_role(&owner, &id_of(&house, Role::Admin), "owner").await.unwrap();
    assert_eq!(set_role(&owner, &owner.id(), "member").await.unwrap(), "member");
    house.publishes("role_set", ("previous_role", "owner")).await;
}

#[tokio::test]
async fn of_two_owners_who_demote_each_other_at_once_one_remains() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    for _ in 0..10 {
        let admin = id_of(&house, Role::Admin);
        set_role(&owner, &admin, "owner").await.unwrap();
        let second = house.sign_in_as(house.organization(), admin.parse().unwrap()).await;
        let (one, other) = (owner.id(), second.id());
        let answers = tokio::join!(set_role(&owner, &other, "admin"), set_role(&second, &one, "admin"));
        assert!(answers.0.is_ok() != answers.1.is_ok(), "{answers:?}");
        if answers.1.is_ok() {
            set_role(&second, &owner.id(), "owner").await.unwrap();
            set_role(&owner, &second.id(), "admin").await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_admin_neither_makes_nor_demotes_nor_signs_in_for_an_owner() {
    let house = house().await;
    let admin = house.sign_in(Role::Admin).await;
    let (owner, member) = (id_of(&house, Role::Owner), id_of(&house, Role::Member));
    let denied = (Code::PermissionDenied, "owner_required".to_owned());
    assert_eq!(refused(set_role(&admin, &member, "owner").await), denied);
    assert_eq!(refused(set_role(&admin, &owner, "viewer").await), denied);
    assert_eq!(refused(set_role(&admin, &admin.id(), "owner").await), denied);
    assert_eq!(refused(invite(&admin, "new@northwind.example", "owner").await), denied);
    assert_eq!(refused(invite(&admin, "owner@northwind.example", "owner").await), denied);
    assert_eq!(set_role(&admin, &member, "admin").await.unwrap(), "admin");
}

#[tokio::test]
async fn a_key_that_manages_users_is_no_owner() {
    let house = house().await;
    let key = house.sign_in(Role::Owner).await.mint_api_key(&[Scope::UsersManage]).await.unwrap();
    let request = SetRoleRequest { user_id: id_of(&house, Role::Member), role: "owner".into() };
    let credential = crate::house::credential(&key.secret);
    let answer = house.client().set_role(chassis::guard::forward(&credential, request).unwrap()).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "owner_required".to_owned()));
}

#[tokio::test]
async fn a_key_lifts_nobody_above_its_own_scopes() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    let reads = Role::Viewer.scopes().into_iter().chain([Scope::UsersManage]).collect::<Vec<_>>();
    let key = owner.mint_api_key(&reads).await.unwrap();
    let credential = crate::house::credential(&key.secret);
    let denied = (Code::PermissionDenied, "role_above_own".to_owned());
    for (email, role, allowed) in [
        ("new@northwind.example", "admin", false),
        ("new@northwind.example", "member", false),
        ("member@northwind.example", "member", false),
        ("new@northwind.example", "viewer", true),
    ] {
        let request = InviteUserRequest { email: email.into(), name: "Sam".into(), role: role.into() };
        let answer = house.client().invite_user(chassis::guard::forward(&credential, request).unwrap()).await;
        match allowed {
            true => drop(answer.unwrap()),
            false => assert_eq!(refused(answer), denied, "{email} {role}"),
        }
    }
    for (of, to) in [(Role::Member, "admin"), (Role::Viewer, "member"), (Role::Admin, "viewer")] {
        let request = SetRoleRequest { user_id: id_of(&house, of), role: to.into() };
        let answer = house.client().set_role(chassis::guard::forward(&credential, request).unwrap()).await;
        assert_eq!(refused(answer), denied, "{of} to {to}");
    }
}

async fn remove(by: &Person, user_id: &str) -> Result<u32, Status> {
    let request = RemoveUserRequest { user_id: user_id.to_owned() };
    Ok(by.client.clone().remove_user(by.ask(request)).await?.into_inner().revoked_keys)
}

#[tokio::test]
async fn admins_remove_whom_they_may_demote_and_nobody_themselves_or_the_last_owner() {
    let house = house().await;
    let (owner, admin) = (house.sign_in(Role::Owner).await, house.sign_in(Role::Admin).await);
    let (member, viewer) = (id_of(&house, Role::Member), id_of(&house, Role::Viewer));
    let denied = (Code::PermissionDenied, "owner_required".to_owned());
    assert_eq!(refused(remove(&admin, &owner.id()).await), denied);
    for person in [&owner, &admin] {
        let own = (Code::FailedPrecondition, "own_user".to_owned());
        assert_eq!(refused(remove(person, &person.id()).await), own);
    }
    // Another Owner's key has the scopes, but no role: it stays below Owners.
    let key = owner.mint_api_key(&[Scope::UsersManage]).await.unwrap();
    let request = RemoveUserRequest { user_id: member.clone() };
    let credential = crate::house::credential(&key.secret);
    let answer = house.client().remove_user(chassis::guard::forward(&credential, request).unwrap()).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "role_above_own".to_owned()));
    let kim = house.sign_in_elsewhere().await;
    let missing = (Code::NotFound, "user_not_found".to_owned());
    assert_eq!(refused(remove(&kim, &member).await), missing);
    remove(&admin, &member).await.unwrap();
    assert_eq!(refused(remove(&admin, &member).await), missing);
    remove(&admin, &viewer).await.unwrap();
    remove(&owner, &admin.id()).await.unwrap();
    let listed = owner.client.clone().list_users(owner.ask(ListUsersRequest {})).await.unwrap().into_inner();
    assert_eq!(listed.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>(), [owner.id()]);
    house.publishes("removed", ("previous_role", "admin")).await;
    // Whoever comes back is somebody new.
    let token = invite(&owner, "admin@northwind.example", "viewer").await.unwrap();
    let session =
        house.client().sign_in_with_link(SignInWithLinkRequest { token }).await.unwrap().into_inner();
    assert_ne!(session.user.unwrap().id, admin.id());
}

#[tokio::test]
async fn members_and_viewers_do_not_manage_users() {
    let house = house().await;
    for role in [Role::Member, Role::Viewer] {
        let person = house.sign_in(role).await;
        let denied = (Code::PermissionDenied, "scope_missing".to_owned());
        assert_eq!(refused(set_role(&person, &person.id(), "admin").await), denied);
        assert_eq!(refused(invite(&person, "new@northwind.example", "viewer").await), denied);
        let answer = person.client.clone().list_users(person.ask(ListUsersRequest {})).await;
        assert_eq!(refused(answer), denied);
    }
}

#[tokio::test]
async fn the_user_of_another_organization_is_not_found() {
    let house = house().await;
    let kim = house.sign_in_elsewhere().await;
    let answer = set_role(&kim, &id_of(&house, Role::Member), "admin").await;
    assert_eq!(refused(answer), (Code::NotFound, "user_not_found".to_owned()));
    let listed = kim.client.clone().list_users(kim.ask(ListUsersRequest {})).await.unwrap().into_inner();
    assert_eq!(listed.users.len(), 1);

    // The same person here and there is two users: whoever administers one organization reaches only that one.
    let token = invite(&kim, "owner@northwind.example", "viewer").await.unwrap();
    let request = SignInWithLinkRequest { token };
    let session = house.client().sign_in_with_link(request).await.unwrap().into_inner();
    assert_ne!(session.user.unwrap().id, id_of(&house, Role::Owner));
}

#[tokio::test]
async fn an_invitation_is_checked_and_signs_in_once() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    for (email, role, code) in [
        ("nobody", "member", "email_invalid"),
        ("a\0@northwind.example", "member", "email_invalid"),
        ("new@northwind.example", "boss", "role_unknown"),
    ] {
        assert_eq!(refused(invite(&owner, email, role).await), (Code::InvalidArgument, code.to_owned()));
    }
    let answer = set_role(&owner, "user_1", "admin").await;
    assert_eq!(refused(answer), (Code::InvalidArgument, "id_invalid".to_owned()));
    let answer = invite(&owner, "Member@Northwind.example", "viewer").await;
    assert_eq!(refused(answer), (Code::FailedPrecondition, "user_has_another_role".to_owned()));

    let token = invite(&owner, " New@Northwind.example", "member").await.unwrap();
    let request = SignInWithLinkRequest { token };
    let session = house.client().sign_in_with_link(request.clone()).await.unwrap().into_inner();
    let user = session.user.unwrap();
    assert_eq!((user.email.as_str(), user.role.as_str()), ("new@northwind.example", "member"));
    let answer = house.client().sign_in_with_link(request).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "link_used".to_owned()));
}
